"""Finite scalar quantisation: VQ-VAE without a codebook to learn (Mentzer et al. 2023, arXiv:2309.15505).

python launch.py --config=configs/fsq.py        # 8x8 digits, bundled: test loss 85.26
python launch.py --config=configs/fsq.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("fsq", dataset)
    config.model.latent_dim = 16
    config.model.posterior = {"name": "finite_scalar", "grid": (8, 5, 5)}
    config.model.prior = {"name": "uniform_categorical"}
    config.model.likelihood = {"name": "squared_error", "activation": "sigmoid"}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    return config
