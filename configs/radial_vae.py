"""Radial flows after a Gaussian posterior (Rezende & Mohamed 2015, arXiv:1505.05770, equation 14).

python launch.py --config=configs/radial_vae.py        # 8x8 digits, bundled: test loss 24.07, NLL 23.51
python launch.py --config=configs/radial_vae.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("radial_vae", dataset)
    config.data.binarization = "dynamic"
    config.model.latent_dim = 20
    config.model.posterior = {"name": "radial_flow", "num_flows": 10}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.objective = {"name": "elbo", "kl_estimate": "monte_carlo"}
    return config
