"""Deep feature consistent VAE: reconstructions are compared by features of a classifier (arXiv:1610.00291).

python launch.py --config=configs/classifier.py --config.classifier.name=conv   # the features: a run of digits
python launch.py --config=configs/dfc_vae.py
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("dfc_vae", dataset)
    config.model.latent_dim = 50
    config.network = {"name": "conv", "activation": "relu"}
    config.objective = {
        "name": "dfc_vae",
        "features": {"run": f"runs/classifier-{config.data.name}"},
        "weight": 1000.0,
    }
    if config.data.name == "digits":
        config.model.latent_dim = 10
        config.network.channels = (32, 64)
    return config
