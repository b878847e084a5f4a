"""Contractive autoencoder: the code must change little with the input (Rifai et al. 2011, equation 3).

python launch.py --config=configs/cae.py        # 8x8 digits, bundled: test loss 16.62
python launch.py --config=configs/cae.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("cae", dataset)
    config.model.latent_dim = 32
    config.model.posterior = {"name": "delta"}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.objective = {"name": "contractive", "weight": 0.1}
    return config
