"""Lines in the space of a model's latents."""

from collections.abc import Callable

import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array
from jaxvae.distributions.spaces import Chart, slerp
from jaxvae.models.base import Model

__all__ = ["Chart", "along", "chart", "slerp"]


def chart(model: Model, tool: str) -> Chart:
    """The chart of the model's latent space.

    Raises:
      UserError: the latents are codes, between which there is nothing.
    """
    space = model.latent.space
    if space.chart is None:
        raise UserError(
            f"{tool} moves z little by little, but this model's latents live in {space}, where that has no meaning. It "
            "works in R^n, on the sphere and on the Poincaré ball: train with the posterior 'diagonal_gaussian', for "
            "example."
        )
    return space.chart


def along(line: Callable[[Array, Array, Array], Array], z_a: Array, z_b: Array, num: int) -> Array:
    """`num` points `[B, num, *latent_shape]` of a chart's line from z_a to z_b `[B, *latent_shape]`, ends included.

    Raises:
      UserError: num below 2.
    """
    if num < 2:
        raise UserError(f"A path needs at least 2 points, its ends, but num is {num}.")
    t = jnp.linspace(0.0, 1.0, num).reshape(1, num, 1)
    flat = line(z_a.reshape(len(z_a), 1, -1), z_b.reshape(len(z_b), 1, -1), t)
    return flat.reshape(len(z_a), num, *z_a.shape[1:])
