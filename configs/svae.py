"""Hyperspherical VAE: von Mises-Fisher posterior, uniform prior (Davidson et al. 2018, arXiv:1804.00891).

python launch.py --config=configs/svae.py        # 8x8 digits, bundled: test loss 25.22, NLL 24.39
python launch.py --config=configs/svae.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("svae", dataset)
    config.data.binarization = "dynamic"
    config.model.latent_dim = 11  # a sphere of 10 dimensions
    config.model.posterior = {"name": "von_mises_fisher"}
    config.model.prior = {"name": "uniform_sphere"}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    return config
