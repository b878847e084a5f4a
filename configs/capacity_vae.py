"""β-VAE with a capacity that grows to 25 nats (Burgess et al. 2018, arXiv:1804.03599, equation 8).

python launch.py --config=configs/capacity_vae.py:shapes  # drawn shapes, bundled: test loss 40.67, NLL 57.39
python launch.py --config=configs/capacity_vae.py         # 8x8 digits, bundled, too small for 25 nats: test loss 47.12
python launch.py --config=configs/capacity_vae.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("capacity_vae", dataset)
    config.model.latent_dim = 10
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.kl = {"name": "capacity", "nats": 25.0, "gamma": 30.0}
    return config
