"""A learned mixture of Gaussians as prior (Tomczak & Welling 2018, arXiv:1705.07120, section 4).

python launch.py --config=configs/mog_prior.py        # 8x8 digits, bundled: test loss 24.07, NLL 23.33
python launch.py --config=configs/mog_prior.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("mog_prior", dataset)
    config.data.binarization = "dynamic"
    config.model.latent_dim = 20
    config.model.prior = {"name": "mixture_of_gaussians", "components": 50}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.objective = {"name": "elbo", "kl_estimate": "monte_carlo"}
    return config
