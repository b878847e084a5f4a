"""Length and energy of decoded curves, and the geodesics that minimise them."""

from functools import partial

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Params
from jaxvae.latent.charts import along, chart
from jaxvae.latent.descent import descend
from jaxvae.models.base import Model, context_args

Ends = tuple[Array | None, Array | None]  # of the starts and the ends of paths; None where there is none
SUBDIVISIONS = 4  # a geodesic is optimised on a finer curve than is returned, lest it jump over narrow obstacles


def decode_path(model: Model, params: Params, z: Array, context: Array | None = None) -> Array:
    """Decode the means of p(x|z), `[B, num, *data_shape]`, along z `[B, num, *latent_shape]`.

    The `context` of a conditional model is `[B, num, C]`, see `contexts_along`.
    """
    return model.decode(params, z, *context_args(context)).mean


def contexts_along(contexts: Ends, num: int) -> Array | None:
    """Space `num` contexts evenly from those at the start of B paths to those at their end: `[B, num, C]`, or None."""
    start, end = contexts
    if start is None or end is None:
        return None
    share = jnp.linspace(0.0, 1.0, num)[:, None]
    return (1 - share) * start[:, None] + share * end[:, None]


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
    model: Model,
    params: Params,
    z_a: Array,
    z_b: Array,
    num: int,
    steps: int = 500,
    learning_rate: float = 0.01,
    contexts: Ends = (None, None),
) -> Array:
    """Find a geodesic `[B, num, *latent_shape]` from z_a to z_b `[B, *latent_shape]` of the decoder's metric.

    It minimises the energy under the metric J'J that the decoder's mean pulls back to the latent space (Arvanitidis et
    al. 2018, arXiv:1710.11379; Shao et al. 2017, arXiv:1711.08014, section 3). Adam starts from the line of the latent
    space, refined `SUBDIVISIONS` times, and moves its inner points; the best iterate is kept, so that the energy is
    never above that of the line. The minimum is local: the start decides on which side an obstacle is passed.

    Of a conditional model the `contexts` are those of the ends, both `[B, C]`; each point is decoded at its share of
    the way between them.

    Raises:
      UserError: discrete latents, sequences, num below 2, or negative steps.
    """
    space = chart(model, "A geodesic")
    if model.data.is_sequential:
        raise UserError("A geodesic needs the decoder's means, which sequences do not have: take path=linear.")
    if steps < 0:
        raise UserError(f"A geodesic got steps={steps}; the optimiser needs 0 or more.")
    fine = along(space.line, z_a, z_b, (num - 1) * SUBDIVISIONS + 1 if num > 1 else num)
    return _shorten(model, params, fine, contexts, steps, learning_rate)[:, ::SUBDIVISIONS]


@partial(jax.jit, static_argnames=("model", "steps", "learning_rate"))
def _shorten(model: Model, params: Params, line: Array, contexts: Ends, steps: int, learning_rate: float) -> Array:
    space, context = chart(model, "A geodesic"), contexts_along(contexts, line.shape[1])
    u = space.from_latent(line)
    # Shifts are in units of the distance, so that the learning rate does not depend on the pair or the latent space.
    square = jnp.square(u[:, -1:] - u[:, :1])
    distance = jnp.sqrt(jnp.mean(square, axis=tuple(range(1, u.ndim)), keepdims=True))

    def curve(shift: Array) -> Array:
        inner = space.to_latent(u[:, 1:-1] + distance * shift)
        return jnp.concatenate([line[:, :1], inner, line[:, -1:]], axis=1)

    def energy(shift: Array) -> Array:
        return curve_energy(decode_path(model, params, curve(shift), context))

    return curve(descend(energy, jnp.zeros_like(u[:, 1:-1]), steps, learning_rate))
