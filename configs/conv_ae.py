"""Convolutional autoencoder of the PyTorch tutorials: two convolutions with max-pooling, three transposed ones, tanh.

python launch.py --config=configs/conv_ae.py         # 8x8 digits, bundled: test loss 14.03
python launch.py --config=configs/conv_ae.py:mnist   # test loss 135.72 after 2 epochs (num_epochs=2)
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("conv_ae", dataset)
    config.data.pixel_range = (-1.0, 1.0)
    config.model.latent_dim = 32  # the last feature map of 28 x 28 pixels has as many values
    config.model.posterior = {"name": "delta"}
    config.model.likelihood = {"name": "squared_error", "activation": "tanh"}
    config.network = {"name": "conv_pool", "hidden": (), "activation": "relu"}
    config.objective = {"name": "reconstruction"}
    return config
