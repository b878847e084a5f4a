"""VAE with log-cosh as reconstruction loss (Chen et al. 2019, Log Hyperbolic Cosine Loss Improves VAE).

python launch.py --config=configs/logcosh.py        # 8x8 digits, bundled: test loss 8.42
python launch.py --config=configs/logcosh.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("logcosh", dataset)
    config.model.latent_dim = 20
    config.model.likelihood = {"name": "log_cosh", "activation": "sigmoid", "a": 10.0}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    return config
