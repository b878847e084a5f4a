"""VAE, 784-400-20 with tanh output, pixels in [-1, 1] and summed squared error, of the PyTorch tutorials.

python launch.py --config=configs/vae_mse.py        # 8x8 digits, bundled: test loss 12.54
python launch.py --config=configs/vae_mse.py:mnist  # test loss 65.81 after 20 epochs; three seeds: 65.60 to 65.81

After 100 epochs (--config.train.num_epochs=100): 62.46. The tutorial prints training losses of 61.6 to 64.7.
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("vae_mse", dataset)
    config.data.pixel_range = (-1.0, 1.0)
    config.model.latent_dim = 20
    config.model.likelihood = {"name": "squared_error", "activation": "tanh"}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    return config
