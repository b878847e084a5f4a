"""VAE of the Frey faces, 560-200-20: a Gaussian with its own variance for each pixel (arXiv:1312.6114, section 5).

python launch.py --config=configs/frey.py --config.data.path=freyfaces.npz
    # uint8 [1965, 28, 20]: test loss -1289.35, NLL -1323.14 after 1000 epochs; three seeds: -1288.67 to -1297.07
python launch.py --config=configs/frey.py:digits # 8x8 digits, bundled: test loss -89.64, NLL -97.92

With one variance for all pixels (--config.model.likelihood.learn=shared): -978.65.
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("frey", dataset or "frey")
    config.model.latent_dim = 20
    config.model.likelihood = {"name": "gaussian", "activation": "sigmoid", "variance": 0.05, "learn": "pixel"}
    config.network = {"name": "mlp", "hidden": (200,), "activation": "tanh"}
    config.train.batch_size = 100
    return config
