"""VQ-VAE with an EMA codebook and restarts of dead codes (van den Oord et al. 2017, arXiv:1711.00937).

python launch.py --config=configs/vq_vae.py        # 8x8 digits, bundled: test loss 78.11
python launch.py --config=configs/vq_vae.py:mnist  # 20 epochs: test loss 85.25, all 128 codes used
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("vq_vae", dataset)
    config.model.latent_dim = 16
    config.model.posterior = {"name": "vector_quantized", "codebook_size": 128, "code_dim": 8}
    config.model.prior = {"name": "uniform_categorical"}
    config.model.likelihood = {"name": "squared_error", "activation": "sigmoid"}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    return config
