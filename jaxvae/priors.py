"""p(z): what the latent is believed to be before any data is seen."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxvae.likelihoods import no_params
from jaxvae.types import Distribution, Key, Params


class Prior(NamedTuple):
    """`init(key) -> params`; `build(params) -> Distribution` of batch shape `[]` and event shape `[latent_dim]`."""

    init: Callable[[Key], Params]
    build: Callable[[Params], Distribution]


def standard_normal(latent_dim: int) -> Prior:
    """N(0, I)."""

    def build(_):
        return dist.Normal(jnp.zeros(latent_dim), jnp.ones(latent_dim)).to_event(1)

    return Prior(no_params, build)
