"""VAE with a 2-d latent space to look at: hidden 256 tanh, cross-entropy.

python launch.py --config=configs/vae_2d.py
python launch.py --config=configs/vae_2d.py:mnist
"""

from configs import base


def get_config(dataset=""):
    config = base.get_config("vae_2d", dataset)
    config.model.latent_dim = 2
    config.network = {"name": "mlp", "hidden": (256,), "activation": "tanh"}
    return config
