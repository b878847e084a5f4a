"""WAE-MMD with a deterministic encoder and the IMQ kernel (Tolstikhin et al. 2018, arXiv:1711.01558, algorithm 2).

python launch.py --config=configs/wae_mmd.py        # 8x8 digits, bundled: test loss 1.42
python launch.py --config=configs/wae_mmd.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("wae_mmd", dataset)
    config.model.latent_dim = 8
    config.model.posterior = {"name": "delta"}
    config.model.likelihood = {"name": "squared_error", "activation": "sigmoid"}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.objective = {"name": "wae_mmd"}
    return config
