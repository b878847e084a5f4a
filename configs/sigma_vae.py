"""Sigma-VAE: one learned variance for all pixels (Rybkin et al. 2021, arXiv:2006.13202).

python launch.py --config=configs/sigma_vae.py        # 8x8 digits, bundled: test loss -26.76, NLL -29.29
python launch.py --config=configs/sigma_vae.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("sigma_vae", dataset)
    config.model.latent_dim = 20
    config.model.likelihood = {"name": "gaussian", "activation": "sigmoid", "variance": 0.05, "learn": "shared"}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    return config
