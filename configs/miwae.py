"""MIWAE: the mean of 8 bounds of 8 samples (Rainforth et al. 2018, arXiv:1802.04537).

python launch.py --config=configs/miwae.py        # 8x8 digits, bundled: test loss 23.40, NLL 23.02
python launch.py --config=configs/miwae.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("miwae", dataset)
    config.data.binarization = "dynamic"
    config.model.latent_dim = 50
    config.network = {"name": "mlp", "hidden": (200, 200), "activation": "tanh"}
    config.network.update(hidden_scale=1.0, output_scale=1.0)
    config.objective = {"name": "miwae", "num_bounds": 8, "num_samples": 8}
    config.optimizer.schedule.name = "cosine"
    return config
