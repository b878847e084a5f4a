"""Sliced Wasserstein autoencoder (Kolouri et al. 2018, arXiv:1804.01947, equation 14).

python launch.py --config=configs/swae.py        # 8x8 digits, bundled: test loss 1.33
python launch.py --config=configs/swae.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("swae", dataset)
    config.model.latent_dim = 8
    config.model.posterior = {"name": "delta"}
    config.model.likelihood = {"name": "squared_error", "activation": "sigmoid"}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.objective = {"name": "swae"}
    return config
