"""FactorVAE: a discriminator estimates the total correlation of z (Kim & Mnih 2018, arXiv:1802.05983).

python launch.py --config=configs/factor_vae.py            # 8x8 digits, bundled: test loss 25.63, TC 0.03
python launch.py --config=configs/factor_vae.py:shapes     # drawn shapes with known factors
python launch.py --config=configs/factor_vae.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("factor_vae", dataset)
    config.model.latent_dim = 10
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.objective = {"name": "factor_vae", "discriminator": {"network": "mlp", "hidden": (400, 400, 400)}}
    config.evaluate.checkpoint = "last"  # the losses of a game have no best
    return config
