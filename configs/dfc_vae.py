"""Deep feature consistent VAE: reconstructions are compared by features of a classifier (arXiv:1610.00291).

python launch.py --config=configs/classifier.py --config.classifier.name=conv --config.train.num_epochs=40   # features
python launch.py --config=configs/dfc_vae.py
    # 8x8 digits, bundled: reconstructions with a sharpness of 0.88 of the data's
python launch.py --config=configs/dfc_vae.py:mnist
    # after the features, configs/classifier.py:mnist --config.classifier.name=conv --config.train.num_epochs=3: 0.87
python launch.py --config=configs/conv_vae.py:frey --config.data.path=freyfaces.npz --config.train.num_epochs=300
python launch.py --config=configs/dfc_vae.py:frey --config.data.path=freyfaces.npz
    # features of that encoder: reconstructions with 0.89 of the sharpness of the frames
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("dfc_vae", dataset)
    config.model.latent_dim = 50
    config.network = {"name": "conv", "activation": "relu"}
    config.objective = {
        "name": "dfc_vae",
        "features": {"run": f"runs/classifier-{config.data.name}"},
        "distance": "lpips",  # with pixels its samples are closer to data than with the paper's squared differences
        "weight": 1000.0,
        "pixel_weight": 100.0,  # against the KL: fewer, 1 for example, leave the reconstructions smoother
    }
    config.sample.sampler = {"name": "gmm"}  # a small KL leaves the codes far from the prior
    config.evaluate.metrics = "sharpness"
    if config.data.name == "digits":
        config.model.latent_dim = 32
        config.network.channels = (32, 64)
        config.objective.weight = 100.0
    if config.data.name == "mnist":
        config.model.latent_dim = 128
        config.train.num_epochs = 12
        config.evaluate.checkpoint = "last"
    if config.data.name == "frey":  # faces without labels: features of an encoder, and dense layers, which train sooner
        config.model.latent_dim = 200
        config.network = {"name": "mlp", "hidden": (512,), "activation": "relu", "hidden_scale": 2.0}
        config.objective.features = {"run": "runs/conv_vae-freyfaces", "part": "encoder"}
        config.objective.distance = "feature_matching"
        config.objective.weight = 1e5
        config.kl = {"name": "constant", "beta": 0.1}
        config.optimizer.schedule = {"name": "cosine"}
        config.train.num_epochs = 450
        config.evaluate.checkpoint = "last"
    return config
