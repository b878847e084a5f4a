"""VAE, 784-400-20 with tanh output, pixels in [-1, 1] and summed squared error.

python launch.py --config=configs/vae_mse.py
python launch.py --config=configs/vae_mse.py:mnist
"""

from configs import base


def get_config(dataset=""):
    config = base.get_config("vae_mse", dataset)
    config.data.pixel_range = (-1.0, 1.0)
    config.model.latent_dim = 20
    config.model.likelihood = {"name": "squared_error", "activation": "tanh"}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    return config
