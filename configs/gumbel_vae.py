"""Categorical latents by Gumbel-softmax: 20 variables of 10 categories (Jang et al. 2016, arXiv:1611.01144).

python launch.py --config=configs/gumbel_vae.py        # 8x8 digits, bundled: test loss 24.24, NLL 23.83
python launch.py --config=configs/gumbel_vae.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("gumbel_vae", dataset)
    config.data.binarization = "dynamic"
    config.model.latent_dim = 20
    config.model.posterior = {"name": "gumbel_softmax", "categories": 10, "temperature": 0.5}
    config.model.prior = {"name": "uniform_categorical"}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    return config
