"""Define the contract of a prior."""

from collections.abc import Callable
from typing import NamedTuple

from jaxvae.common.types import Distribution, Key, Params, no_params
from jaxvae.distributions.spaces import EUCLIDEAN, Space

ANY = Space("any space of continuous latents")


class Prior(NamedTuple):
    """Prior p(z) as pure functions.

    Attributes:
      build: `(params, encode) -> p`, of batch shape `[]` and event shape `latent_shape`; in the space CODES, over
        `[latent_dim]` whole numbers below `num_codes`. `encode(x [K, *data_shape])` is q(z|x), for a VampPrior.
      init: initialise the parameters.
      space: the latent space; ANY where it is the posterior's.
      takes_context: whether this is p(z|context), built by `build(params, encode, context=context)`, with batch shape
        `[...]` for a context `[..., C]`.
      learns_inputs: whether it learns pseudo-inputs by gradients through the encoder.
      noise_dim: how many of the last dimensions of z only the prior uses; the decoder does not get them.
      fit: `(codes [N, latent_dim], seed, clusters=None) -> params`, initial parameters from codes, or from those of
        each of the clusters `[N]`, one for each component; None where they cannot be fitted.
    """

    build: Callable[..., Distribution]
    init: Callable[[Key], Params] = no_params
    space: Space = EUCLIDEAN
    takes_context: bool = False
    learns_inputs: bool = False
    noise_dim: int = 0
    fit: Callable[..., Params] | None = None
