"""β-VAE: the KL weighs β = 4 (Higgins et al. 2017, equation 4).

python launch.py --config=configs/beta_vae.py:shapes  # drawn shapes, bundled: test loss 81.79, NLL 51.45
python launch.py --config=configs/beta_vae.py         # 8x8 digits, bundled, too small for β = 4: test loss 27.06
python launch.py --config=configs/beta_vae.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("beta_vae", dataset)
    config.model.latent_dim = 10
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.kl = {"name": "constant", "beta": 4.0}
    return config
