"""VAE with strided 4 x 4 convolutions of 32, 64, 128 channels, and transposed ones back (DCGAN, arXiv:1511.06434).

python launch.py --config=configs/conv_vae.py         # 8x8 digits, bundled: test loss 24.59 nats
python launch.py --config=configs/conv_vae.py:mnist   # test loss 95.90 after 20 epochs, 104.66 after 2

configs/vae.py:mnist, of dense layers and as many latents, reaches 103.11, and 121.68 (--config.train.num_epochs=2).
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("conv_vae", dataset)
    config.model.latent_dim = 20
    config.network = {"name": "conv", "hidden": (), "activation": "relu"}
    return config
