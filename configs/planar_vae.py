"""Planar flows after a Gaussian posterior (Rezende & Mohamed 2015, arXiv:1505.05770, equation 10).

python launch.py --config=configs/planar_vae.py        # 8x8 digits, bundled: test loss 23.99, NLL 23.53
python launch.py --config=configs/planar_vae.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("planar_vae", dataset)
    config.data.binarization = "dynamic"
    config.model.latent_dim = 20
    config.model.posterior = {"name": "planar_flow", "num_flows": 10}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.objective = {"name": "elbo", "kl_estimate": "monte_carlo"}
    return config
