"""β-TCVAE: the total correlation weighs β = 6 (Chen et al. 2018, arXiv:1802.04942, equation 4).

python launch.py --config=configs/beta_tcvae.py        # 8x8 digits, bundled: test loss 25.21, NLL 24.42
python launch.py --config=configs/beta_tcvae.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("beta_tcvae", dataset)
    config.model.latent_dim = 10
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.objective = {"name": "beta_tcvae", "beta": 6.0}
    return config
