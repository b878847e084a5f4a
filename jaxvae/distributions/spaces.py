"""Latent spaces and their charts."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array
from jaxvae.distributions.poincare import at_edge, expmap, expmap0, logmap, logmap0


class Chart(NamedTuple):
    """Coordinates of a space in R^n, on the last axis, where an optimiser can move freely.

    Attributes:
      to_latent: from R^n to the space.
      from_latent: from the space to R^n.
      line: `(z_a, z_b, t)`, the point at t in [0, 1] of the shortest line of the space; all `[..., D]`, t `[..., 1]`.
      is_one_to_one: whether coordinates are unique, so that a density of coordinates is a density of points.
    """

    to_latent: Callable[[Array], Array]
    from_latent: Callable[[Array], Array]
    line: Callable[[Array, Array, Array], Array]
    is_one_to_one: bool


@dataclasses.dataclass(frozen=True)
class Space:
    """A latent space; two spaces are equal if their names are.

    Attributes:
      name: in messages.
      is_linear: whether sums and multiples of latents are latents.
      is_discrete: whether latents are discrete codes.
      has_great_circles: whether rotations about the origin stay in the space.
      chart: coordinates in R^n, or None.
      at_edge: `z [..., *latent_shape] -> bool [...]`, whether z was clipped to the largest radius of float32, so that
        densities at z are wrong; None where nothing is clipped.
    """

    name: str
    is_linear: bool = dataclasses.field(default=False, compare=False)
    is_discrete: bool = dataclasses.field(default=False, compare=False)
    has_great_circles: bool = dataclasses.field(default=False, compare=False)
    chart: Chart | None = dataclasses.field(default=None, compare=False)
    at_edge: Callable[[Array], Array] | None = dataclasses.field(default=None, compare=False)

    def __str__(self) -> str:
        return self.name

    @property
    def has_coordinates(self) -> bool:
        """Whether each latent has unique coordinates in R^n."""
        return self.chart is not None and self.chart.is_one_to_one


def slerp(z_a: Array, z_b: Array, t: Array) -> Array:
    """Interpolate spherically from z_a to z_b `[..., D]`, with linearly changing length; t `[..., 1]` in [0, 1].

    For vectors of equal length this is the great circle (Shoemake 1985, "Animating rotation with quaternion curves").
    Parallel vectors give the straight line. Between opposite vectors all great circles are equally short; the one
    towards the axis where z_a is smallest is taken.
    """
    length_a, length_b = (jnp.linalg.norm(z, axis=-1, keepdims=True) for z in (z_a, z_b))
    tiny = jnp.finfo(z_a.dtype).tiny
    start, end = z_a / jnp.maximum(length_a, tiny), z_b / jnp.maximum(length_b, tiny)
    cosine = jnp.sum(start * end, axis=-1, keepdims=True)
    across = end - cosine * start
    sine = jnp.linalg.norm(across, axis=-1, keepdims=True)
    axis = jax.nn.one_hot(jnp.argmin(jnp.abs(start), axis=-1), z_a.shape[-1], dtype=z_a.dtype)
    side = jnp.where(sine > 1e-6, across, axis)
    for _ in range(2):  # the second pass removes the rounding errors along `start`
        side = side - jnp.sum(side * start, axis=-1, keepdims=True) * start
        side = side / jnp.maximum(jnp.linalg.norm(side, axis=-1, keepdims=True), tiny)
    angle = t * jnp.arctan2(sine, cosine)
    return ((1 - t) * length_a + t * length_b) * (jnp.cos(angle) * start + jnp.sin(angle) * side)


EUCLIDEAN = Space(
    "R^n",
    is_linear=True,
    has_great_circles=True,
    chart=Chart(lambda u: u, lambda z: z, lambda a, b, t: (1 - t) * a + t * b, is_one_to_one=True),
)
CODES = Space("codes", is_discrete=True)
SPHERE = Space(
    "the unit sphere",
    has_great_circles=True,
    chart=Chart(lambda u: u / jnp.linalg.norm(u, axis=-1, keepdims=True), lambda z: z, slerp, is_one_to_one=False),
)


def ball(curvature: float) -> Space:
    """The Poincaré ball of curvature -`curvature`; its chart is the exponential map at the origin."""
    between = lambda a, b, t: expmap(a, t * logmap(a, b, curvature), curvature)  # noqa: E731
    chart = Chart(partial(expmap0, c=curvature), partial(logmap0, c=curvature), between, is_one_to_one=True)
    name = f"the Poincaré ball of curvature -{curvature:g}"
    return Space(name, chart=chart, at_edge=partial(at_edge, c=curvature))


def check_sphere(latent_dim: int) -> None:
    """Raise UserError for a sphere of dimension 0."""
    if latent_dim < 2:
        raise UserError(f"model.latent_dim is {latent_dim}; a sphere needs at least 2 (in R^2 it is the circle).")


def check_curvature(curvature: float) -> None:
    """Raise UserError for a curvature that is not above 0."""
    if not curvature > 0:
        raise UserError(f"The curvature of the Poincaré ball is {curvature}; it must be above 0 (its absolute value).")
