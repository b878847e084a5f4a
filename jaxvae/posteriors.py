"""q(z | x): what an encoder's outputs say about the latent."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxvae.likelihoods import no_params
from jaxvae.types import Array, Distribution, Key, Params


class Posterior(NamedTuple):
    """`init(key) -> params`; `build(params, outputs) -> Distribution` over one latent vector.

    Attributes:
      init: parameters that all examples share (a flow's, say); `{}` where there are none.
      build: outputs `[..., num_outputs]` to a distribution of batch shape `[...]` and event shape `[latent_dim]`.
      num_outputs: the encoder's outputs for each example.
      is_density: False where q has no density on R^latent_dim, so that there is neither a KL nor a bound.
    """

    init: Callable[[Key], Params]
    build: Callable[[Params, Array], Distribution]
    num_outputs: int
    is_density: bool = True


def diagonal_gaussian(latent_dim: int) -> Posterior:
    """N(mean, diag(exp(logvar))), from outputs `[..., mean | logvar]` (arXiv:1312.6114, equation 9)."""

    def build(_, outputs):
        mean, logvar = jnp.split(outputs, 2, axis=-1)
        return dist.Normal(mean, jnp.exp(0.5 * logvar)).to_event(1)

    return Posterior(no_params, build, num_outputs=2 * latent_dim)


def delta(latent_dim: int) -> Posterior:
    """All mass on one point: the code of a plain autoencoder."""
    return Posterior(
        no_params, lambda _, outputs: dist.Delta(outputs, event_dim=1), num_outputs=latent_dim, is_density=False
    )
