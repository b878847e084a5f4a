"""Adversarial autoencoder: q(z) is drawn to the prior by a discriminator (Makhzani et al. 2015, arXiv:1511.05644).

python launch.py --config=configs/aae.py            # 8x8 digits, bundled: test reconstruction 0.93
python launch.py --config=configs/aae.py:mnist
python launch.py --config=configs/aae.py --config.objective.use_labels=True \
    --config.model.prior=mixture_of_gaussians --config.model.prior.spread=3.0 --config.train.freeze=model.prior
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("aae", dataset)
    config.model.latent_dim = 8
    config.model.posterior = {"name": "delta"}
    config.model.likelihood = {"name": "squared_error", "activation": "sigmoid"}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.objective = {"name": "adversarial_autoencoder", "r1": 1.0, "discriminator": {"network": "mlp"}}
    config.optimizer.b1 = 0.5
    config.evaluate.checkpoint = "last"  # the losses of a game have no best
    return config
