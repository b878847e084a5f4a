"""InfoVAE: MMD between the aggregated posterior and the prior (Zhao et al. 2017, arXiv:1706.02262, equation 6).

python launch.py --config=configs/info_vae.py        # 8x8 digits, bundled: test loss 24.47, NLL 24.23
python launch.py --config=configs/info_vae.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("info_vae", dataset)
    config.model.latent_dim = 10
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.objective = {"name": "info_vae", "lambda_": 10.0}
    return config
