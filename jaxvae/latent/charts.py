"""Latent spaces as seen from R^n, and their own shortest lines."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Params
from jaxvae.distributions import WrappedNormal
from jaxvae.distributions.poincare import expmap, expmap0, logmap, logmap0
from jaxvae.distributions.spaces import EUCLIDEAN, SPHERE
from jaxvae.models.base import Model


class Chart(NamedTuple):
    """A latent space as seen from R^n, where an optimiser moves freely; the last axis is that of coordinates.

    Attributes:
      to_latent: R^n -> space.
      from_latent: space -> R^n.
      line: `(z_a, z_b, t)`, the point at t in [0, 1] of the shortest line of the space; all `[..., D]`, t `[..., 1]`.
    """

    to_latent: Callable[[Array], Array]
    from_latent: Callable[[Array], Array]
    line: Callable[[Array, Array, Array], Array]


def chart(model: Model, params: Params, tool: str) -> Chart:
    """The chart of the model's latent space.

    Raises:
      UserError: the latents are codes, between which there is nothing.
    """
    if model.posterior.space == EUCLIDEAN:
        return Chart(lambda u: u, lambda z: z, lambda a, b, t: (1 - t) * a + t * b)
    if model.posterior.space == SPHERE:
        return Chart(lambda u: u / jnp.linalg.norm(u, axis=-1, keepdims=True), lambda z: z, slerp)
    # Only the distribution knows the ball's size; nothing is computed.
    q: Any = jax.eval_shape(model.encode, params, jnp.zeros((1, *model.data_shape)))
    if not isinstance(q, WrappedNormal):
        raise UserError(
            f"{tool} moves z little by little, but this model's latents live in {model.posterior.space}, where that "
            "has no meaning. It works in R^n, on the sphere and on the Poincaré ball: train with the posterior "
            "'diagonal_gaussian', for example."
        )
    c = q.curvature
    between = lambda a, b, t: expmap(a, t * logmap(a, b, c), c)  # noqa: E731
    return Chart(partial(expmap0, c=c), partial(logmap0, c=c), between)


def slerp(z_a: Array, z_b: Array, t: Array) -> Array:
    """From z_a to z_b `[..., D]` by turning evenly, the length changing linearly; t `[..., 1]` in [0, 1].

    For vectors of one length this is the great circle (Shoemake 1985, "Animating rotation with quaternion curves").
    Parallel vectors give the straight line; opposite ones, between which all great circles are as short, the one that
    turns first towards the axis where z_a is smallest.
    """
    length_a, length_b = (jnp.linalg.norm(z, axis=-1, keepdims=True) for z in (z_a, z_b))
    tiny = jnp.finfo(z_a.dtype).tiny
    start, end = z_a / jnp.maximum(length_a, tiny), z_b / jnp.maximum(length_b, tiny)
    cosine = jnp.sum(start * end, axis=-1, keepdims=True)
    across = end - cosine * start
    sine = jnp.linalg.norm(across, axis=-1, keepdims=True)
    axis = jax.nn.one_hot(jnp.argmin(jnp.abs(start), axis=-1), z_a.shape[-1], dtype=z_a.dtype)
    side = jnp.where(sine > 1e-6, across, axis)
    for _ in range(2):  # the second time takes away what rounding has left along `start`
        side = side - jnp.sum(side * start, axis=-1, keepdims=True) * start
        side = side / jnp.maximum(jnp.linalg.norm(side, axis=-1, keepdims=True), tiny)
    angle = t * jnp.arctan2(sine, cosine)
    return ((1 - t) * length_a + t * length_b) * (jnp.cos(angle) * start + jnp.sin(angle) * side)


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
