"""VQ-GAN: a map of codes, features and a PatchGAN (Esser et al. 2021, arXiv:2012.09841).

python launch.py --config=configs/classifier.py --config.classifier.name=conv --config.train.num_epochs=40   # features
python launch.py --config=configs/vq_gan.py
    # 8x8 digits, bundled: reconstructions with a sharpness of 0.89 of the data's
"""

from jaxvae.experiment import defaults

POSITIONS = {"digits": (4, 4), "frey": (7, 5)}  # of the latent, after the halvings of the network


def get_config(dataset=""):
    config = defaults.get_config("vq_gan", dataset)
    rows, columns = POSITIONS.get(config.data.name, (7, 7))
    config.model.latent_dim = rows * columns
    config.model.posterior = {"name": "vector_quantized", "codebook_size": 128, "code_dim": 8}
    config.model.prior = {"name": "uniform_categorical"}
    config.model.likelihood = {"name": "log_cosh", "activation": "sigmoid"}
    config.network = {"name": "resnet", "channels": (32, 64), "blocks": 1, "latent_channels": 8}
    config.objective = {
        "name": "image_autoencoder",
        "features": {"run": f"runs/classifier-{config.data.name}"},
        "perceptual_weight": 100.0,
        "start": 2000,
        "discriminator": {"network": "patch", "channels": (32, 64)},
    }
    config.kl = {"name": "constant", "beta": 0.0}  # of codes with a uniform prior it is constant
    config.sample.sampler = {"name": "autoregressive"}
    config.evaluate.checkpoint = "last"  # the losses of a game have no best
    config.evaluate.metrics = "sharpness"
    if config.data.name == "digits":
        config.network.channels = (32,)
        config.objective.discriminator.channels = (32,)
        config.objective.perceptual_weight = 10.0
        config.objective.start = 100
        config.train.num_epochs = 30
        config.sample.sampler.steps = 500
    return config
