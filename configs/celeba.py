"""Sigma-VAE of CelebA's faces, convolutional (arXiv:2006.13202): their central 178 x 178 pixels, made 64 x 64.

python launch.py --config=configs/celeba.py:celeb_a   # by TFDS; needs a GPU
python launch.py --config=configs/celeba.py           # 8x8 digits, bundled: test loss -22.26, NLL -25.81

--config.data.stream=True keeps no decoded copy on the disk, and --config.data.workers=8 decodes in so many processes.
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("celeba", dataset)
    config.data.image_size = 64 if dataset else 0
    config.model.latent_dim = 64
    config.model.likelihood = {"name": "gaussian", "activation": "sigmoid", "variance": 0.05, "learn": "shared"}
    config.network = {"name": "conv"}
    return config
