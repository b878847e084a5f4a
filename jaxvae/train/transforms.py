"""What is done around an optimiser's update: a moving average of the parameters, and updates that are skipped."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxvae.common.types import Array, Params, Tree


class AverageState(NamedTuple):
    """The inner optimiser's state, the average so far, and the number of updates in it."""

    inner: Tree
    average: Params
    count: Array


class SkipState(NamedTuple):
    """The inner optimiser's state, and whether the last update was skipped."""

    inner: Tree
    skipped: Array


def average(optimizer: optax.GradientTransformation, decay: float) -> optax.GradientTransformation:
    """The same updates; beside them an exponential moving average of the parameters, without bias.

    After t updates it is (1 - d) / (1 - d^t) sum_i d^(t - i) theta_i, i from 1 to t, for the decay d: the parameters
    theta_0 from before training are no part of it (as in Adam's means, arXiv:1412.6980, section 3), so that a decay
    which is long for a run does no harm.

    Args:
      optimizer: what makes the updates; `update` needs the parameters.
      decay: above 0 and below 1; the average reaches some 1 / (1 - decay) updates back.
    """

    def init(params: Params) -> AverageState:
        copy = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), params)  # both are donated
        return AverageState(optimizer.init(params), copy, jnp.zeros((), jnp.int32))

    def update(updates: Params, state: AverageState, params: Any = None) -> tuple[Params, AverageState]:
        updates, inner = optimizer.update(updates, state.inner, params)
        count = state.count + 1
        weight = (1 - decay) / -jnp.expm1(count * math.log(decay))
        new = optax.apply_updates(params, updates)
        means = jax.tree.map(lambda old, value: old + weight * (value - old), state.average, new)
        return updates, AverageState(inner, means, count)

    return optax.GradientTransformation(init, update)  # pyright: ignore[reportArgumentType]


def exchanged(params: Params, opt_state: Tree) -> tuple[Params, Tree]:
    """The average in the place of the parameters, and they in its place; twice gives both back.

    The average is what a model is validated, saved and used with. Without one nothing changes.
    """
    found = optax.tree.get(opt_state, AverageState.__name__)
    if found is None:
        return params, opt_state
    return found.average, optax.tree.set(opt_state, AverageState=found._replace(average=params))


def skip_above(optimizer: optax.GradientTransformation, max_norm: float) -> optax.GradientTransformation:
    """No update where the gradient's global norm is above `max_norm` or not finite (arXiv:2011.10650, section 4).

    The state stays as it was too: moments, average, and the count that a learning-rate schedule goes by.
    """

    def init(params: Params) -> SkipState:
        return SkipState(optimizer.init(params), jnp.zeros((), bool))

    def update(updates: Params, state: SkipState, params: Any = None) -> tuple[Params, SkipState]:
        skipped = ~(optax.tree.norm(updates) <= max_norm)  # NaN is not above either
        fresh = optimizer.update(updates, state.inner, params)
        kept = jax.tree.map(jnp.zeros_like, updates), state.inner
        updates, inner = jax.tree.map(lambda old, new: jnp.where(skipped, old, new), kept, fresh)
        return updates, SkipState(inner, skipped)

    return optax.GradientTransformation(init, update)  # pyright: ignore[reportArgumentType]


def was_skipped(opt_state: Tree) -> Array | None:
    """Whether the last update was skipped; None where none ever is."""
    found = optax.tree.get(opt_state, SkipState.__name__)
    return None if found is None else found.skipped
