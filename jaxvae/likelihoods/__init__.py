"""Likelihoods p(x|z): distributions of data, built from a decoder's outputs.

A likelihood is a tuple of pure functions, not a class per model; `make_model` sums over the data's axes.
"""

from jaxvae.likelihoods.base import ACTIVATIONS, Likelihood
from jaxvae.likelihoods.columns import columns
from jaxvae.likelihoods.counts import negative_binomial, poisson
from jaxvae.likelihoods.images import ms_ssim
from jaxvae.likelihoods.levels import categorical, discretized_logistic, discretized_logistic_mixture
from jaxvae.likelihoods.pixels import bernoulli, continuous_bernoulli, gaussian, laplace, log_cosh, squared_error

__all__ = [
    "ACTIVATIONS", "Likelihood", "bernoulli", "categorical", "columns", "continuous_bernoulli", "discretized_logistic",
    "discretized_logistic_mixture", "gaussian", "laplace", "log_cosh", "ms_ssim", "negative_binomial", "poisson",
    "squared_error",
]  # fmt: skip
