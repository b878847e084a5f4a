"""Denoising autoencoder: the input is masked, the output must be whole (Vincent et al. 2008, section 2.3).

python launch.py --config=configs/dae.py        # 8x8 digits, bundled: test loss 18.09
python launch.py --config=configs/dae.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("dae", dataset)
    config.model.latent_dim = 32
    config.model.posterior = {"name": "delta"}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.objective = {"name": "denoising", "noise": "masking", "level": 0.3}
    return config
