"""Likelihoods of counts, such as the words of a document or the transcripts of a cell."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.types import Array, Distribution, Key, Params, no_params
from jaxvae.distributions.counts import NegativeBinomial, Poisson
from jaxvae.likelihoods.base import Likelihood, softly_between
from jaxvae.losses import log_softplus, softplus

MAX_LOG_MEAN = 30.0
LOG_CONCENTRATIONS = (-10.0, 15.0)  # above the upper one it equals a Poisson in float32
COUNTS = (0.0, math.inf)


Total = tuple[int, float, float] | tuple[()]  # position in the context, shift and scale of the log of the total
LINKS: dict[str, Callable[[Array], Array]] = {
    "exp": lambda x: MAX_LOG_MEAN - softplus(MAX_LOG_MEAN - x),
    "softplus": log_softplus,
}
SHARES = "shares"


def poisson(link: str = "exp", total: Total = ()) -> Likelihood:
    """Poisson(mean); the mean is exp(outputs), softly below e^30, or softplus(outputs), which grows only linearly.

    Args:
      link: "exp", "softplus", or "shares": the mean is the total count of an example, its library size, times
        softmax(outputs), as in scVI.
      total: of a context with the field "total", its position there, and the shift and scale of its logarithm.

    Raises:
      UserError: an unknown link, or "shares" without the total in the context.
    """
    log_mean = _find_link(link, total)
    return Likelihood(
        no_params,
        lambda _, outputs, context=None: Poisson(log_mean(outputs, context)),
        support=COUNTS,
        is_discrete=True,
        encoder_input=jnp.log1p,
        samples_draw=True,
        takes_context=link == SHARES,
    )


def negative_binomial(
    data_shape: tuple[int, ...], link: str = "exp", zero_inflated: bool = False, total: Total = ()
) -> Likelihood:
    """Counts with mean m and variance m + m^2 / r; r is learned for each of the D values and shared by all examples
    (Lopez et al. 2018, scVI, doi:10.1038/s41592-018-0229-2).

    Args:
      data_shape: the shape of one example.
      link: the mean is exp(outputs), softly below e^30, or softplus(outputs), or with "shares" the library size times
        softmax(outputs), as in scVI.
      zero_inflated: use a second output for each value, the logit of a zero independent of the mean.
      total: see `poisson`.

    Raises:
      UserError: an unknown link, or "shares" without the total in the context.
    """
    log_mean = _find_link(link, total)

    def init(key: Key) -> Params:
        del key
        return {"log_concentration": jnp.zeros(math.prod(data_shape))}

    def build(params: Params, outputs: Array, context: Array | None = None) -> Distribution:
        log_concentration = softly_between(*LOG_CONCENTRATIONS, params["log_concentration"])
        if not zero_inflated:
            return NegativeBinomial(log_mean(outputs, context), log_concentration)
        base = NegativeBinomial(log_mean(outputs[..., 0], context), log_concentration)
        return dist.ZeroInflatedDistribution(base, gate_logits=outputs[..., 1])

    return Likelihood(
        init, build, 2 if zero_inflated else 1, support=COUNTS, is_discrete=True, encoder_input=jnp.log1p,
        samples_draw=True, takes_context=link == SHARES,
    )  # fmt: skip


def _find_link(name: str, total: Total) -> Callable[[Array, Any], Array]:
    """Return `(outputs [..., D], context [..., C]) -> log mean [..., D]`."""
    if name not in (*LINKS, SHARES):
        raise unknown("link", name, (*LINKS, SHARES))
    if name != SHARES:
        return lambda outputs, context: LINKS[name](outputs)
    if not total:
        raise UserError(
            "The link 'shares' multiplies the shares of the decoder by the total count of each example: set "
            "data.context to 'total', or to names that have it, 'batch,total' for example."
        )
    index, shift, scale = total
    return lambda outputs, context: jax.nn.log_softmax(outputs) + shift + scale * context[..., index, None]
