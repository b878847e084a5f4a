"""The contract of a prior."""

from collections.abc import Callable
from typing import NamedTuple

from jaxvae.common.types import Distribution, Key, Params, no_params
from jaxvae.distributions.spaces import EUCLIDEAN, Space

ANY = Space("any space of continuous latents")


class Prior(NamedTuple):
    """p(z) as pure functions.

    Attributes:
      build: `(params, encode) -> p`, of batch shape `[]` and event shape `latent_shape`; where the space is CODES, of
        `[latent_dim]` whole numbers below `num_codes`. `encode(x [K, *data_shape])` is q(z|x), for a VampPrior.
      init: its parameters.
      space: where z lives; ANY where the posterior decides.
      takes_context: whether this is p(z|context), built by `build(params, encode, context=context)`: of batch shape
        `[...]` for a context `[..., C]`.
      learns_inputs: whether it encodes pseudo-inputs that it learns by their slope.
    """

    build: Callable[..., Distribution]
    init: Callable[[Key], Params] = no_params
    space: Space = EUCLIDEAN
    takes_context: bool = False
    learns_inputs: bool = False
