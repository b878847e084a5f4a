"""VAE with MS-SSIM as reconstruction loss (Snell et al. 2017, arXiv:1511.06409).

python launch.py --config=configs/msssim_vae.py        # 8x8 digits, bundled: test loss 18.86
python launch.py --config=configs/msssim_vae.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("msssim_vae", dataset)
    config.model.latent_dim = 20
    config.model.likelihood = {"name": "ms_ssim", "activation": "sigmoid"}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    return config
