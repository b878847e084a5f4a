"""What the samplers that learn something share: which latents fit them, coordinates, and a short training."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxvae.common.errors import NonFiniteLoss, UserError
from jaxvae.common.ranges import check, within
from jaxvae.common.types import Array, Key, Params
from jaxvae.distributions.spaces import Space
from jaxvae.models.base import Model

FITS: dict[str, Callable[[Space], bool]] = {
    "prior": lambda space: True,
    "pseudo_inputs": lambda space: True,
    "gmm": lambda space: space.has_coordinates,
    "flow": lambda space: space.has_coordinates,
    "two_stage": lambda space: space.has_coordinates,
    "autoregressive": lambda space: space.is_discrete,
}  # whether a sampler fits latents in a space
CHECKS = 50  # of the held-out loss in one training
HELD_OUT = 2048  # rows at most that each takes


def check_fits(name: str, model: Model) -> None:
    """Raises UserError where the sampler `name` does not fit the space of the model's latents, with those that do."""
    space = model.latent.space
    if not FITS[name](space):
        fitting = ", ".join(other for other, fits in FITS.items() if fits(space))
        raise UserError(f"The sampler '{name}' does not fit latents in {space}. Samplers that do: {fitting}.")


def check_training(name: str, hidden: Sequence[int], **counts: int) -> None:
    """Raises UserError where the widths of networks, or one of the counts, are below 1 or no whole numbers."""
    widths = isinstance(hidden, tuple | list) and all(type(width) is int and width >= 1 for width in hidden)
    if not widths:
        raise UserError(
            f"The sampler '{name}' got hidden={hidden!r}; it must be a tuple of whole numbers of 1 or more, the "
            "widths of hidden layers."
        )
    check("sampler", name, **{key: (value, within(1)) for key, value in counts.items()})


class Coordinates(NamedTuple):
    """Latents as vectors of mean 0 and variance 1 in each dimension, `to` `[N, D]` and `back` again.

    On a Poincaré ball they are tangent vectors at the origin, since the exponential map there takes R^D to the whole
    ball: a density of the one is a density of the other, and the most likely of them is the same for both.
    """

    to: Callable[[Array | np.ndarray], Array]
    back: Callable[[Array], Array]


def coordinates(model: Model, z: np.ndarray) -> Coordinates:
    """The coordinates in which latents z `[N, *latent_shape]` are standardised; dimensions without spread are kept."""
    space, shape = model.latent.space.chart, model.latent_shape
    assert space is not None  # `check_fits` has refused the rest

    def flat(z):
        return space.from_latent(z.reshape(len(z), -1))

    vectors = np.asarray(flat(z), np.float64)
    mean, spread = (jnp.asarray(value, jnp.float32) for value in (vectors.mean(axis=0), vectors.std(axis=0)))
    scale = jnp.where(spread > 1e-6 * (1 + jnp.abs(mean)), spread, 1.0)

    def back(vectors):
        return space.to_latent(mean + scale * vectors).reshape(-1, *shape)

    return Coordinates(lambda z: (jnp.asarray(flat(z)) - mean) / scale, back)


def minimise(
    loss: Callable[[Params, Array, Key], Array],
    params: Params,
    data: Array,
    key: Key,
    steps: int,
    batch_size: int,
    learning_rate: float,
) -> Params:
    """Adam with a cosine schedule on random batches, all in one call of the device; the best parameters met.

    A tenth of the rows is held out, and tells CHECKS times on the way how good the parameters are: where there are few
    rows the loss of the others goes on falling while the density becomes worse. Fewer than 10 rows are all used for
    both.

    Args:
      loss: `(params, rows [B, ...], key) -> [B]` or `[]`.
      params: where to start.
      data: `[N, ...]`.
      key: for the order of the rows, the held-out loss (always the same noise), and each step.
      steps: updates, at least 1.
      batch_size: B, at least 1; rows are drawn with replacement.
      learning_rate: the peak.

    Raises:
      NonFiniteLoss: the loss became NaN or infinite.
    """
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))
    num, every = len(data) // 10, -(-steps // CHECKS)

    def run(params, data, key):
        order_key, judge_key, steps_key = jax.random.split(key, 3)
        rows = jax.random.permutation(order_key, data)
        held_out, rows = rows[: min(num, HELD_OUT)] if num else rows, rows[num:]

        def judge(params, best):
            value = jnp.mean(loss(params, held_out, jax.random.fold_in(judge_key, 0)))  # the same noise each time
            better = value < best[1]  # never, where it is NaN
            return jax.tree.map(lambda new, old: jnp.where(better, new, old), (params, value), best)

        def step(state, i):
            params, opt_state, best = state
            rows_key, loss_key = jax.random.split(jax.random.fold_in(steps_key, i))
            batch = rows[jax.random.randint(rows_key, (batch_size,), 0, len(rows))]
            value, gradient = jax.value_and_grad(lambda p: jnp.mean(loss(p, batch, loss_key)))(params)
            updates, opt_state = optimizer.update(gradient, opt_state)
            params = optax.apply_updates(params, updates)
            look = ((i + 1) % every == 0) | (i + 1 == steps)
            best = jax.lax.cond(look, judge, lambda _, best: best, params, best)
            return (params, opt_state, best), value

        start = params, optimizer.init(params), (params, jnp.inf)
        (*_, best), losses = jax.lax.scan(step, start, jnp.arange(steps))
        return best[0], jnp.all(jnp.isfinite(losses)) & jnp.isfinite(best[1])

    # A weak type, of a number in an initialiser, would become a strong one in the first step: no scan takes that.
    params = jax.tree.map(lambda leaf: jax.lax.convert_element_type(leaf, leaf.dtype), params)
    params, finite = jax.jit(run)(params, data, key)
    if not finite:
        raise NonFiniteLoss("The loss of the sampler became NaN or infinite while it was fitted: take another sampler.")
    return params
