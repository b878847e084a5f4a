"""VAE with residual blocks and group normalisation (He et al. 2015, arXiv:1512.03385; arXiv:1803.08494).

python launch.py --config=configs/resnet_vae.py         # 8x8 digits, bundled: test loss 24.30 nats
python launch.py --config=configs/resnet_vae.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("resnet_vae", dataset)
    config.model.latent_dim = 20
    config.network = {"name": "resnet", "hidden": (), "activation": "silu"}
    return config
