"""Charts and lines of a model's latent space."""

from collections.abc import Callable

import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array
from jaxvae.distributions.spaces import Chart, slerp
from jaxvae.models.base import Model

__all__ = ["Chart", "along", "chart", "slerp"]


def chart(model: Model, tool: str) -> Chart:
    """Return the chart of the model's latent space.

    Raises:
      UserError: the latents are discrete codes.
    """
    space = model.latent.space
    if space.chart is None:
        raise UserError(
            f"{tool} moves z continuously, but this model's latents live in {space}, which is discrete. It works in "
            "R^n, on the sphere and on the Poincaré ball: train with the posterior 'diagonal_gaussian', for example."
        )
    return space.chart


def along(line: Callable[[Array, Array, Array], Array], z_a: Array, z_b: Array, num: int) -> Array:
    """Space `num` points `[B, num, *latent_shape]` on a chart's line from z_a to z_b `[B, *latent_shape]`, inclusive.

    Raises:
      UserError: num below 2.
    """
    if num < 2:
        raise UserError(f"A path needs at least 2 points, its ends, but num is {num}.")
    t = jnp.linspace(0.0, 1.0, num).reshape(1, num, 1)
    flat = line(z_a.reshape(len(z_a), 1, -1), z_b.reshape(len(z_b), 1, -1), t)
    return flat.reshape(len(z_a), num, *z_a.shape[1:])
