"""VAE, 784-400-20 with sigmoid and binary cross-entropy (Kingma & Welling 2013, arXiv:1312.6114, as in the tutorials).

python launch.py --config=configs/vae.py            # 8x8 digits, bundled: test loss 23.75, 25 s on 2 cores
python launch.py --config=configs/vae.py:mnist      # test loss 103.11 after 20 epochs; three seeds: 103.11 to 103.32

After 10 epochs (--config.train.num_epochs=10): 105.13.
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("vae", dataset)
    config.model.latent_dim = 20
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    if config.data.name == "digits":  # 10 steps an epoch: samples look like digits after some thousand steps
        config.train.num_epochs = 1000
        config.train.eval_every_epochs = 50
    return config
