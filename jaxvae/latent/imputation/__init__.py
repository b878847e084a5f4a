"""Imputation of missing values: samples and log-densities of p(x_missing | x_observed).

p(x|z) must be a product over values, so that x_missing depends on x_observed through z alone.
"""

from jaxvae.latent.imputation.checks import check_mask
from jaxvae.latent.imputation.gibbs import Imputation, metropolis_within_gibbs, pseudo_gibbs
from jaxvae.latent.imputation.importance import Imputations, importance_imputation
from jaxvae.latent.imputation.likelihood import missing_log_likelihood

__all__ = [
    "Imputation", "Imputations", "check_mask", "importance_imputation", "metropolis_within_gibbs",
    "missing_log_likelihood",
    "pseudo_gibbs",
]  # fmt: skip
