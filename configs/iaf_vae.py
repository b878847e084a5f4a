"""Inverse autoregressive flow posterior (Kingma et al. 2016, arXiv:1606.04934, algorithm 1).

python launch.py --config=configs/iaf_vae.py        # 8x8 digits, bundled: test loss 23.81, NLL 23.46
python launch.py --config=configs/iaf_vae.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("iaf_vae", dataset)
    config.data.binarization = "dynamic"
    config.model.latent_dim = 20
    config.model.posterior = {"name": "inverse_autoregressive_flow", "num_flows": 2}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.objective = {"name": "elbo", "kl_estimate": "monte_carlo"}
    return config
