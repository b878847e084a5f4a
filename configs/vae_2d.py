"""VAE with a 2-d latent space to look at: hidden 256 tanh, cross-entropy (arXiv:1312.6114, appendix A).

python launch.py --config=configs/vae_2d.py         # 8x8 digits, bundled: test loss 25.94 nats
python launch.py --config=configs/vae_2d.py:mnist   # test loss 156.26 nats after 20 epochs
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("vae_2d", dataset)
    config.model.latent_dim = 2
    config.network = {"name": "mlp", "hidden": (256,), "activation": "tanh"}
    return config
