"""Regularised autoencoder with a penalty on the decoder's gradient (Ghosh et al. 2020, arXiv:1903.12436, section 3).

python launch.py --config=configs/rae_gp.py        # 8x8 digits, bundled: test loss 0.61
python launch.py --config=configs/rae_gp.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("rae_gp", dataset)
    config.model.latent_dim = 16
    config.model.posterior = {"name": "delta"}
    config.model.likelihood = {"name": "squared_error", "activation": "sigmoid"}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.objective = {"name": "rae", "penalty": "gradient"}
    return config
