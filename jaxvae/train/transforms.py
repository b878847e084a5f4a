"""Wrappers of an optimiser's update: EMA of the parameters, skipped updates, updates at every n-th step."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxvae.common.types import Array, Params, Tree


class AverageState(NamedTuple):
    """State of the inner optimiser, the EMA, and the number of updates in it."""

    inner: Tree
    average: Params
    count: Array


class SkipState(NamedTuple):
    """State of the inner optimiser, and whether the last update was skipped."""

    inner: Tree
    skipped: Array


class EveryState(NamedTuple):
    """State of the inner optimiser, and the number of steps."""

    inner: Tree
    steps: Array


def average(optimizer: optax.GradientTransformation, decay: float) -> optax.GradientTransformation:
    """Keep an unbiased exponential moving average (EMA) of the parameters; the updates stay the same.

    After t updates it is (1 - d) / (1 - d^t) sum_i d^(t - i) theta_i, i from 1 to t, for the decay d. The initial
    parameters theta_0 do not count (as in Adam's means, arXiv:1412.6980, section 3), so that a decay which is long for
    a run does no harm.

    Args:
      optimizer: makes the updates; `update` needs the parameters.
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
    """Swap the parameters and their EMA; twice restores both.

    The EMA is what a model is validated, saved and used with. Parameters without one (of a group that keeps none, or
    frozen) stay where they are.
    """

    def is_average(node: Any) -> bool:
        return isinstance(node, AverageState)

    def with_params(node: Any) -> Any:
        return node._replace(average=_merged(node.average, params, node.average)) if is_average(node) else node

    taken = params
    for node in filter(is_average, jax.tree.leaves(opt_state, is_leaf=is_average)):
        taken = _merged(node.average, node.average, taken)
    return taken, jax.tree.map(with_params, opt_state, is_leaf=is_average)


def _merged(mask: Params, inside: Params, outside: Params) -> Params:
    """Take leaves of `inside` where `mask`, a tree of `optax.partition`, has one, and nodes of `outside` elsewhere."""

    def is_masked(node: Any) -> bool:
        return isinstance(node, optax.MaskedNode)

    return jax.tree.map(lambda m, a, b: b if is_masked(m) else a, mask, inside, outside, is_leaf=is_masked)


def skip_above(optimizer: optax.GradientTransformation, max_norm: float) -> optax.GradientTransformation:
    """Skip updates whose gradient's global norm is above `max_norm` or not finite (arXiv:2011.10650, section 4).

    The whole state stays as it was: moments, EMA, and the count of a learning-rate schedule.
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


def every_nth(optimizer: optax.GradientTransformation, num: int) -> optax.GradientTransformation:
    """Update at steps num, 2 num, 3 num ...; between them parameters and state stay as they are.

    Unlike `optax.conditionally_mask` it forgets a skipped update at the next step, see `skips`.
    """

    def init(params: Params) -> EveryState:
        return EveryState(optimizer.init(params), jnp.zeros((), jnp.int32))

    def update(updates: Params, state: EveryState, params: Any = None) -> tuple[Params, EveryState]:
        steps = state.steps + 1
        idle = jax.tree.map(jnp.zeros_like, updates), _not_skipped(state.inner)
        updates, inner = jax.lax.cond(
            steps % num == 0, lambda: optimizer.update(updates, state.inner, params), lambda: idle
        )
        return updates, EveryState(inner, steps)

    return optax.GradientTransformation(init, update)  # pyright: ignore[reportArgumentType]


def _not_skipped(opt_state: Tree) -> Tree:
    if optax.tree.get(opt_state, SkipState.__name__) is None:
        return opt_state
    return optax.tree.set(opt_state, skipped=jnp.zeros((), bool))


def skips(opt_state: Tree) -> dict[str, Array]:
    """Whether the last update was skipped: `{"skipped": flag}`, by group `{"skipped_model": flag, ...}`.

    Optimisers that never skip have no entry.
    """
    groups = getattr(opt_state, "inner_states", None)  # of `optax.partition`
    states = {"skipped": opt_state} if groups is None else {f"skipped_{name}": of for name, of in groups.items()}
    found = {name: optax.tree.get(state, SkipState.__name__) for name, state in states.items()}
    return {name: state.skipped for name, state in found.items() if state is not None}
