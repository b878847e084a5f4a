"""Likelihoods of counts, such as the words of a document or the transcripts of a cell."""

import math
from collections.abc import Callable

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxvae.common.errors import unknown
from jaxvae.common.types import Array, Distribution, Key, Params, no_params
from jaxvae.distributions.counts import NegativeBinomial, Poisson
from jaxvae.likelihoods.base import Likelihood, softly_between
from jaxvae.losses import log_softplus, softplus

MAX_LOG_MEAN = 30.0
LOG_CONCENTRATIONS = (-10.0, 15.0)  # above the upper one it equals a Poisson in float32
COUNTS = (0.0, math.inf)


LINKS: dict[str, Callable[[Array], Array]] = {
    "exp": lambda x: MAX_LOG_MEAN - softplus(MAX_LOG_MEAN - x),
    "softplus": log_softplus,
}


def poisson(link: str = "exp") -> Likelihood:
    """Poisson(mean); the mean is exp(outputs), softly below e^30, or softplus(outputs), which grows only linearly.

    Raises:
      UserError: an unknown link.
    """
    log_mean = _find_link(link)
    return Likelihood(
        no_params,
        lambda _, outputs: Poisson(log_mean(outputs)),
        support=COUNTS,
        is_discrete=True,
        encoder_input=jnp.log1p,
        samples_draw=True,
    )


def negative_binomial(data_shape: tuple[int, ...], link: str = "exp", zero_inflated: bool = False) -> Likelihood:
    """Counts with mean m and variance m + m^2 / r; r is learned for each of the D values and shared by all examples
    (Lopez et al. 2018, scVI, doi:10.1038/s41592-018-0229-2).

    Args:
      data_shape: the shape of one example.
      link: the mean is exp(outputs), softly below e^30, or softplus(outputs).
      zero_inflated: use a second output for each value, the logit of a zero independent of the mean.

    Raises:
      UserError: an unknown link.
    """
    log_mean = _find_link(link)

    def init(key: Key) -> Params:
        del key
        return {"log_concentration": jnp.zeros(math.prod(data_shape))}

    def build(params: Params, outputs: Array) -> Distribution:
        log_concentration = softly_between(*LOG_CONCENTRATIONS, params["log_concentration"])
        if not zero_inflated:
            return NegativeBinomial(log_mean(outputs), log_concentration)
        base = NegativeBinomial(log_mean(outputs[..., 0]), log_concentration)
        return dist.ZeroInflatedDistribution(base, gate_logits=outputs[..., 1])

    return Likelihood(
        init, build, 2 if zero_inflated else 1, support=COUNTS, is_discrete=True, encoder_input=jnp.log1p,
        samples_draw=True,
    )  # fmt: skip


def _find_link(name: str) -> Callable[[Array], Array]:
    if name not in LINKS:
        raise unknown("link", name, LINKS)
    return LINKS[name]
