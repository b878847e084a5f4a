"""Priors p(z): distributions of the latent."""

from jaxvae.priors.base import ANY, Prior
from jaxvae.priors.codes import autoregressive_codes, uniform_categorical
from jaxvae.priors.flows import flow
from jaxvae.priors.manifolds import uniform_sphere, wrapped_normal
from jaxvae.priors.mixtures import conditional_normal, mixture_of_gaussians, nested_mixture, standard_normal, vamp

__all__ = [
    "ANY", "Prior", "autoregressive_codes", "conditional_normal", "flow", "mixture_of_gaussians", "nested_mixture",
    "standard_normal", "uniform_categorical", "uniform_sphere", "vamp", "wrapped_normal",
]  # fmt: skip
