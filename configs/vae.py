"""VAE, 784-400-20 with binary cross-entropy, of the classic tutorials (Kingma & Welling 2013, arXiv:1312.6114).

python launch.py --config=configs/vae.py            # 8x8 digits, bundled
python launch.py --config=configs/vae.py:mnist
"""

from configs import base


def get_config(dataset=""):
    config = base.get_config("vae", dataset)
    config.model.latent_dim = 20
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    return config
