"""Plain autoencoder of the PyTorch tutorials, 784-128-64-12-3-12-64-128-784 with tanh output and squared error.

python launch.py --config=configs/ae.py             # 8x8 digits, bundled: test loss 7.08
python launch.py --config=configs/ae.py:mnist       # test loss 100.58 after 20 epochs
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("ae", dataset)
    config.data.pixel_range = (-1.0, 1.0)
    config.model.latent_dim = 3
    config.model.posterior = {"name": "delta"}
    config.model.likelihood = {"name": "squared_error", "activation": "tanh"}
    config.network = {"name": "mlp", "hidden": (128, 64, 12), "activation": "relu"}
    config.objective = {"name": "reconstruction"}
    return config
