"""VampPrior: the prior is the mixture of 500 learned pseudo-inputs' posteriors (arXiv:1705.07120).

python launch.py --config=configs/vamp.py        # 8x8 digits, bundled: test loss 23.89, NLL 23.21
python launch.py --config=configs/vamp.py:mnist  # --config.train.num_epochs=50: NLL (K = 100) 89.83

With a standard prior on the same network (--config.model.prior=standard_normal): 91.90.
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("vamp", dataset)
    config.data.binarization = "static"
    config.model.latent_dim = 40
    config.model.prior = {"name": "vamp", "components": 500}
    config.network = {"name": "mlp", "hidden": (300, 300), "activation": "relu"}
    config.objective = {"name": "elbo", "kl_estimate": "monte_carlo"}
    return config
