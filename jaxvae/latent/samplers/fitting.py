"""Shared code of the fitted samplers: checks of latents and options, coordinates, and a short training."""

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
HELD_OUT = 2048  # rows of each check, at most


def check_fits(name: str, model: Model) -> None:
    """Raise UserError, with the samplers that fit, where the sampler `name` does not fit the model's latent space."""
    space = model.latent.space
    if not FITS[name](space):
        fitting = ", ".join(other for other, fits in FITS.items() if fits(space))
        raise UserError(f"The sampler '{name}' does not fit latents in {space}. Samplers that do: {fitting}.")


def check_training(name: str, hidden: Sequence[int], **counts: int) -> None:
    """Raise UserError where the widths of networks, or counts, are not whole numbers of 1 or more."""
    widths = isinstance(hidden, tuple | list) and all(type(width) is int and width >= 1 for width in hidden)
    if not widths:
        raise UserError(
            f"The sampler '{name}' got hidden={hidden!r}; it must be a tuple of whole numbers of 1 or more, the "
            "widths of hidden layers."
        )
    check("sampler", name, **{key: (value, within(1)) for key, value in counts.items()})


class Coordinates(NamedTuple):
    """Standardise latents: `to` vectors `[N, D]` of mean 0 and variance 1 in each dimension, and `back` to latents.

    On a Poincaré ball they are tangent vectors at the origin: the exponential map there takes R^D to the whole ball, so
    that a density on one is a density on the other, with the same maximum-likelihood fit.
    """

    to: Callable[[Array | np.ndarray], Array]
    back: Callable[[Array], Array]


def coordinates(model: Model, z: np.ndarray) -> Coordinates:
    """Fit coordinates that standardise latents z `[N, *latent_shape]`; dimensions without spread are only centred."""
    space, shape = model.latent.space.chart, model.latent_shape
    assert space is not None  # `check_fits` has refused other spaces

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
    """Run Adam with a cosine schedule on random batches, in one call of the device, and return the best parameters.

    The best have the lowest loss on a tenth of the rows, held out and checked CHECKS times: with few rows, the training
    loss goes on falling while the density becomes worse. Fewer than 10 rows are all used for both.

    Args:
      loss: `(params, rows [B, ...], key) -> [B]` or `[]`.
      params: initial parameters.
      data: `[N, ...]`.
      key: for the order of the rows, the held-out loss (the same noise each time), and each step.
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
            better = value < best[1]  # False for NaN
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

    # A weak type (of a number in an initialiser) would become strong in the first step, which scan refuses.
    params = jax.tree.map(lambda leaf: jax.lax.convert_element_type(leaf, leaf.dtype), params)
    params, finite = jax.jit(run)(params, data, key)
    if not finite:
        raise NonFiniteLoss("The loss of the sampler became NaN or infinite while it was fitted: take another sampler.")
    return params
