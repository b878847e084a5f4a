"""Hamiltonian VAE: leapfrog steps on log p(x, z) (Caterini et al. 2018, arXiv:1805.11328, algorithm 1).

python launch.py --config=configs/hvae.py        # 8x8 digits, bundled: test loss 23.88, NLL 23.59
python launch.py --config=configs/hvae.py:mnist
"""

from jaxvae.experiment import defaults


def get_config(dataset=""):
    config = defaults.get_config("hvae", dataset)
    config.data.binarization = "dynamic"
    config.model.latent_dim = 20
    config.model.posterior = {"name": "hamiltonian", "num_steps": 3}
    config.network = {"name": "mlp", "hidden": (400,), "activation": "relu"}
    config.objective = {"name": "elbo", "kl_estimate": "monte_carlo"}
    return config
