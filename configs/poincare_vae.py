"""Poincaré VAE: latents in the hyperbolic plane (Mathieu et al. 2019, arXiv:1901.06033).

python launch.py --config=configs/poincare_vae.py        # 8x8 digits, bundled: test loss 25.48, NLL 25.22
python launch.py --config=configs/poincare_vae.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("poincare_vae", dataset)
    config.data.binarization = "dynamic"
    config.model.latent_dim = 2
    config.model.posterior = {"name": "wrapped_normal", "curvature": 1.0}
    config.model.prior = {"name": "wrapped_normal", "curvature": 1.0}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.objective = {"name": "elbo", "kl_estimate": "monte_carlo"}
    return config
