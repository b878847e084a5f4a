"""Curves in a latent space: straight lines, great circles, and the geodesics of the decoder."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxvae.distributions import WrappedNormal
from jaxvae.distributions.poincare import expmap, expmap0, logmap, logmap0
from jaxvae.errors import UserError, unknown
from jaxvae.model import Model, centre
from jaxvae.posteriors import EUCLIDEAN, SPHERE
from jaxvae.types import Array, Params

PATHS = ("linear", "spherical", "geodesic")
SUBDIVISIONS = 4  # a geodesic is sought on a finer curve than is returned, or it would jump over what is narrow


class Curve(NamedTuple):
    """Points `z` `[B, num, *latent_shape]` and their decoded means `[B, num, *data_shape]`."""

    z: Array
    mean: Array


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


def interpolate(
    model: Model,
    params: Params,
    x_a: Array,
    x_b: Array,
    num: int,
    path: str = "linear",
    steps: int = 500,
    learning_rate: float = 0.01,
) -> Curve:
    """`num` points from the posterior's centre of x_a to that of x_b, both `[B, *data_shape]`, ends included.

    Args:
      model: with latents in R^n, on a sphere or on a Poincaré ball.
      params: its parameters.
      x_a: where the paths start.
      x_b: where they end.
      num: at least 2.
      path: "linear": the shortest line of the latent space itself: straight in R^n, else a great circle or a
        hyperbolic line. "spherical": `slerp`, in R^n or on the sphere. "geodesic": short for the decoder, `geodesic`.
      steps: of the optimiser of a geodesic.
      learning_rate: its, as a part of the distance of the ends.

    Raises:
      UserError: latents that are codes, an unknown path or one that leaves the space, num below 2, x of another shape.
    """
    for x in (x_a, x_b):
        if x.shape != x_a.shape or x.shape[1:] != model.data_shape:
            raise UserError(
                f"An interpolation got inputs of shapes {list(x_a.shape)} and {list(x_b.shape)}; both must be "
                f"[batch, {', '.join(map(str, model.data_shape))}]."
            )
    z_a, z_b = (centre(model.encode(params, x)) for x in (x_a, x_b))
    if path == "geodesic":
        z = geodesic(model, params, z_a, z_b, num, steps, learning_rate)
    elif path in PATHS:
        space = chart(model, params, "An interpolation")
        if path == "spherical" and model.posterior.space not in (EUCLIDEAN, SPHERE):
            raise UserError(
                f"A spherical path turns z about the origin, which is no line of {model.posterior.space}: take path "
                "'linear', which is the hyperbolic line there, or 'geodesic'."
            )
        z = _along(slerp if path == "spherical" else space.line, z_a, z_b, num)
    else:
        raise unknown("path", path, PATHS)
    return Curve(z, decode_path(model, params, z))


def _along(line: Callable[[Array, Array, Array], Array], z_a: Array, z_b: Array, num: int) -> Array:
    if num < 2:
        raise UserError(f"A path needs at least 2 points, its ends, but num is {num}.")
    t = jnp.linspace(0.0, 1.0, num).reshape(1, num, 1)
    flat = line(z_a.reshape(len(z_a), 1, -1), z_b.reshape(len(z_b), 1, -1), t)
    return flat.reshape(len(z_a), num, *z_a.shape[1:])


def decode_path(model: Model, params: Params, z: Array) -> Array:
    """The means of p(x|z), `[B, num, *data_shape]`, along z `[B, num, *latent_shape]`."""
    return model.decode(params, z).mean


def _gaps(mean: Array) -> Array:
    return jnp.sum(jnp.square(jnp.diff(mean, axis=1)), axis=tuple(range(2, mean.ndim)))


def curve_energy(mean: Array) -> Array:
    """(num - 1) sum_i |x_(i+1) - x_i|^2 of decoded curves `[B, num, ...]`, `[B]` in squared units of the data.

    At least the squared length, and equal to it at constant speed (arXiv:1711.08014, section 3).
    """
    return (mean.shape[1] - 1) * jnp.sum(_gaps(mean), axis=1)


def curve_length(mean: Array) -> Array:
    """sum_i |x_(i+1) - x_i| of decoded curves `[B, num, ...]`, `[B]` in units of the data."""
    return jnp.sum(jnp.sqrt(_gaps(mean)), axis=1)


def geodesic(
    model: Model, params: Params, z_a: Array, z_b: Array, num: int, steps: int = 500, learning_rate: float = 0.01
) -> Array:
    """The path `[B, num, *latent_shape]` from z_a to z_b `[B, *latent_shape]` that is short for the decoder.

    A minimum of the energy under the metric J'J that the decoder's mean pulls back to the latent space (Arvanitidis et
    al. 2018, arXiv:1710.11379; Shao et al. 2017, arXiv:1711.08014, section 3). Adam moves the inner points of a
    curve, refined `SUBDIVISIONS` times, from the latent space's own line; the best curve met is kept, so that the
    energy is never above that line's. A local minimum: on which side an obstacle is passed, the start decides.

    Raises:
      UserError: latents that are codes, num below 2, or fewer than 0 steps.
    """
    space = chart(model, params, "A geodesic")
    if steps < 0:
        raise UserError(f"A geodesic got steps={steps}; the optimiser needs 0 or more.")
    fine = _along(space.line, z_a, z_b, (num - 1) * SUBDIVISIONS + 1 if num > 1 else num)
    return _shorten(model, params, fine, steps, learning_rate)[:, ::SUBDIVISIONS]


@partial(jax.jit, static_argnames=("model", "steps", "learning_rate"))
def _shorten(model: Model, params: Params, line: Array, steps: int, learning_rate: float) -> Array:
    space = chart(model, params, "A geodesic")
    u = space.from_latent(line)
    # In units of the distance, so that the learning rate means the same for any pair and any latent space.
    square = jnp.square(u[:, -1:] - u[:, :1])
    distance = jnp.sqrt(jnp.mean(square, axis=tuple(range(1, u.ndim)), keepdims=True))

    def curve(shift: Array) -> Array:
        inner = space.to_latent(u[:, 1:-1] + distance * shift)
        return jnp.concatenate([line[:, :1], inner, line[:, -1:]], axis=1)

    def energy(shift: Array) -> Array:
        return curve_energy(decode_path(model, params, curve(shift)))

    return curve(descend(energy, jnp.zeros_like(u[:, 1:-1]), steps, learning_rate))


def descend(loss: Callable[[Array], Array], start: Array, steps: int, learning_rate: float) -> Array:
    """The best points `[B, ...]` that Adam meets from `start`; `loss(points) -> [B]`, each row's by itself.

    The learning rate falls to 0 by a cosine. A row whose loss is NaN stays where it was best.
    """
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, max(steps, 1)))

    def total(points: Array) -> tuple[Array, Array]:
        values = loss(points)
        return jnp.sum(values), values

    def keep(best: tuple[Array, Array], points: Array, values: Array) -> tuple[Array, Array]:
        better = (values < best[1]).reshape(-1, *[1] * (points.ndim - 1))
        return jnp.where(better, points, best[0]), jnp.fmin(values, best[1])

    def step(carry: Any, _: None) -> tuple[Any, None]:
        points, state, best = carry
        gradient, values = jax.grad(total, has_aux=True)(points)
        updates, state = optimizer.update(gradient, state)
        return (points + updates, state, keep(best, points, values)), None

    carry = start, optimizer.init(start), (start, jnp.full(len(start), jnp.inf))
    (points, _, best), _ = jax.lax.scan(step, carry, None, length=steps)
    return keep(best, points, loss(points))[0]
