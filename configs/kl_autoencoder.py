"""KL autoencoder of latent diffusion: a spatial Gaussian latent, features and a PatchGAN (arXiv:2112.10752).

python launch.py --config=configs/classifier.py --config.classifier.name=conv --config.train.num_epochs=40   # features
python launch.py --config=configs/kl_autoencoder.py
    # 8x8 digits, bundled: reconstructions with a sharpness of 0.92 of the data's
"""

from jaxvae.experiment import defaults

POSITIONS = {"digits": (4, 4), "frey": (7, 5)}  # of the latent, after the halvings of the network


def get_config(dataset=""):
    config = defaults.get_config("kl_autoencoder", dataset)
    rows, columns = POSITIONS.get(config.data.name, (7, 7))
    config.model.latent_dim = rows * columns * 4
    config.model.likelihood = {"name": "log_cosh", "activation": "sigmoid"}
    config.network = {"name": "resnet", "channels": (32, 64), "blocks": 1, "latent_channels": 4}
    config.objective = {
        "name": "image_autoencoder",
        "features": {"run": f"runs/classifier-{config.data.name}"},
        "perceptual_weight": 100.0,
        "start": 2000,
        "discriminator": {"network": "patch", "channels": (32, 64)},
    }
    config.kl = {"name": "constant", "beta": 1e-3}
    config.sample.sampler = {"name": "gmm"}  # a small KL leaves the codes far from the prior
    config.evaluate.checkpoint = "last"  # the losses of a game have no best
    config.evaluate.metrics = "sharpness"
    if config.data.name == "digits":
        config.network.channels = (32,)
        config.objective.discriminator.channels = (32,)
        config.objective.perceptual_weight = 10.0
        config.objective.start = 100
        config.train.num_epochs = 30
    return config
