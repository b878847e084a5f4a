"""WAE-GAN with a deterministic encoder (Tolstikhin et al. 2018, arXiv:1711.01558, algorithm 1).

python launch.py --config=configs/wae_gan.py        # 8x8 digits, bundled: test reconstruction 0.92
python launch.py --config=configs/wae_gan.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("wae_gan", dataset)
    config.model.latent_dim = 8
    config.model.posterior = {"name": "delta"}
    config.model.likelihood = {"name": "squared_error", "activation": "sigmoid"}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.objective = {"name": "wae_gan", "r1": 10.0, "discriminator": {"network": "mlp"}}
    config.optimizer.b1 = 0.5
    config.evaluate.checkpoint = "last"  # the losses of a game have no best
    return config
