"""The 2-d VAE with summed squared error in the place of cross-entropy.

python launch.py --config=configs/vae_2d_mse.py
python launch.py --config=configs/vae_2d_mse.py:mnist
"""

from configs import base


def get_config(dataset=""):
    config = base.get_config("vae_2d_mse", dataset)
    config.model.latent_dim = 2
    config.model.likelihood = {"name": "squared_error", "activation": "sigmoid"}
    config.network = {"name": "mlp", "hidden": (256,), "activation": "tanh"}
    return config
