"""The train state: what is saved is what is needed to go on with the same bits."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxvae.common.types import Array, Key, Tree
from jaxvae.objectives import Objective
from jaxvae.train.transforms import exchanged


class TrainState(NamedTuple):
    """All that a run is, beside its config: what is saved is what is needed to go on with the same bits.

    Attributes:
      step: int32 scalar, the number of updates done.
      params: `{group: pytree}`, what gradients own.
      opt_state: the optimiser's.
      extra: what gradients do not own (codebooks, running statistics).
    """

    step: Array
    params: dict[str, Tree]
    opt_state: Tree
    extra: Tree


def streams(seed: int) -> dict[str, Key]:
    """The root keys of a run, one for each use, so that none of them can change another's numbers."""
    names = ("init", "train", "validation", "test", "sample")
    return dict(zip(names, jax.random.split(jax.random.key(seed), len(names)), strict=True))


def init_state(
    objective: Objective, optimizer: optax.GradientTransformation, key: Key, given: Mapping[str, Tree] | None = None
) -> TrainState:
    """The state before the first step.

    Args:
      objective: draws the parameters.
      optimizer: its state is that of no step.
      key: of what is drawn.
      given: parts that take the place of those drawn, `{"params": {group: {part: tree}}, "extra": ...}`.
    """
    kept = _with(dict(zip(("params", "extra"), objective.init(key), strict=True)), given or {})
    params, extra = kept["params"], kept["extra"]
    state = TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params), extra)
    # A weak type, of a number in an initialiser, would become a strong one in the first step, and compile it twice.
    return jax.tree.map(lambda leaf: jax.lax.convert_element_type(leaf, leaf.dtype), state)


def _with(drawn: Tree, given: Tree) -> Tree:
    """`drawn`, with what `given` has in its place."""
    if not isinstance(drawn, dict):
        return given
    return {name: _with(value, given[name]) if name in given else value for name, value in drawn.items()}


def split_state(state: TrainState) -> tuple[dict[str, Tree], dict[str, Tree]]:
    """What a model is used with, which is the average of its parameters where there is one, and the rest."""
    params, opt_state = exchanged(state.params, state.opt_state)
    return {"params": params, "extra": state.extra}, {"opt_state": opt_state, "step": state.step}


def join_state(weights: dict[str, Tree], rest: dict[str, Tree]) -> TrainState:
    """The state that `split_state` has split."""
    params, opt_state = exchanged(weights["params"], rest["opt_state"])
    return TrainState(rest["step"], params, opt_state, weights["extra"])
