"""Models of latent spaces with lines of their own, and decoders made by hand."""

import functools

import linear_gaussian as lg
import numpyro.distributions as dist
import objective_tools as tools

from jaxvae import posteriors, priors

SPHERE = functools.partial(tools.small, posterior=posteriors.von_mises_fisher, prior=priors.uniform_sphere)
BALL = functools.partial(tools.small, posterior=posteriors.wrapped_normal, prior=priors.wrapped_normal)


def decoding(function, model=lg.MODEL):
    """The model with a decoder made by hand."""
    return model._replace(decode=lambda params, z, context=None: dist.Normal(function(z), 1.0).to_event(1))
