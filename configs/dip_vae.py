"""DIP-VAE II: the aggregated posterior's covariance is drawn to I (Kumar et al. 2018, arXiv:1711.00848, equation 7).

python launch.py --config=configs/dip_vae.py        # 8x8 digits, bundled: test loss 24.94, NLL 24.55
python launch.py --config=configs/dip_vae.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("dip_vae", dataset)
    config.model.latent_dim = 10
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.objective = {"name": "dip_vae", "kind": 2}
    return config
