"""AVB: an implicit posterior, whose KL a discriminator estimates (Mescheder et al. 2017, arXiv:1701.04722).

python launch.py --config=configs/avb.py            # 8x8 digits, bundled: test loss 24.11
python launch.py --config=configs/avb.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("avb", dataset)
    config.model.latent_dim = 8
    config.model.posterior = {"name": "implicit"}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.objective = {"name": "avb", "discriminator": {"network": "mlp"}}
    config.evaluate.checkpoint = "last"  # the losses of a game have no best
    return config
