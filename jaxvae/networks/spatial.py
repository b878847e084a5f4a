"""Spatial latents: a vector of channels at each position of a feature map, without dense layers.

A latent of h x w positions with c channels is a vector of h w c values, row by row, or h w codes of c values. So a
posterior and a prior need no second version.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array
from jaxvae.networks.convolution_window import Pair, Window, window

KERNEL = 3  # side of the convolution from and to the latent


def map_window(size: Pair) -> Window:
    """Return the window of the convolution between a feature map and the latent, which keeps the size."""
    return window(size, (KERNEL, KERNEL), 1, "SAME")


def check_spatial(network: str, channels: int, hidden: Sequence[int]) -> None:
    """Raise UserError for a number of channels below 0, or dense layers beside a spatial latent."""
    if channels < 0 or (channels and hidden):
        why = "it has no dense layers: leave network.hidden empty" if channels > 0 else "it must be 0 or more"
        raise UserError(f"The network '{network}' got latent_channels={channels}; {why}.")


def check_outputs(network: str, size: Pair, channels: int, num_outputs: int) -> int:
    """Return how many outputs an encoder has for each value of a spatial latent, 2 for a mean and a log-variance.

    Raises:
      UserError: the outputs are not so many whole maps.
    """
    values = math.prod(size) * channels
    if num_outputs % values:
        raise UserError(
            f"The network '{network}' has latent_channels={channels} at {list(size)} positions, {values} values, which "
            f"does not fit the posterior with {num_outputs} outputs of the encoder: set model.latent_dim to {values}, "
            f"or, for codes of {channels} values each, to {math.prod(size)}."
        )
    return num_outputs // values


def as_outputs(x: Array, channels: int) -> Array:
    """Flatten a map `[N, h, w, k * channels]` to `[N, k h w channels]`: all values of one kind, then the next."""
    num, rows, columns, width = x.shape
    kinds = x.reshape(num, rows, columns, width // channels, channels)
    return jnp.moveaxis(kinds, 3, 1).reshape(num, -1)


def as_map(network: str, z: Array, size: Pair, channels: int) -> Array:
    """Reshape latents `[N, ...]` of h w channels values to a map `[N, h, w, channels]`.

    Raises:
      UserError: the latents have another size.
    """
    if math.prod(z.shape[1:]) != math.prod(size) * channels:
        check_outputs(network, size, channels, math.prod(z.shape[1:]))
        raise UserError(
            f"The network '{network}' has latent_channels={channels} at {list(size)} positions, but a latent has the "
            f"shape {list(z.shape[1:])}: set model.latent_dim to {math.prod(size) * channels}, or, for codes of "
            f"{channels} values each, to {math.prod(size)}."
        )
    return z.reshape(len(z), *size, channels)
