"""The 2-d VAE of the tutorials (arXiv:1312.6114, appendix A) with summed squared error in place of cross-entropy.

python launch.py --config=configs/vae_2d_mse.py:mnist  # test loss 39.11 after 20 epochs
python launch.py --config=configs/vae_2d_mse.py        # 8x8 digits, bundled: test loss 4.60, most of it the mean image
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("vae_2d_mse", dataset)
    config.model.latent_dim = 2
    config.model.likelihood = {"name": "squared_error", "activation": "sigmoid"}
    config.network = {"name": "mlp", "hidden": (256,), "activation": "tanh"}
    return config
