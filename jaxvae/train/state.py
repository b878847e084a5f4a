"""Train state: everything that a run needs to resume to the same bits."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxvae.common.types import Array, Key, Tree
from jaxvae.objectives import Objective
from jaxvae.train.transforms import exchanged


class TrainState(NamedTuple):
    """Complete state of a run, without its config. A population is a state with a leading axis: see `init_state`.

    Attributes:
      step: int32 scalar, the number of steps done.
      params: `{group: pytree}`, owned by gradients.
      opt_state: the state of the optimiser.
      extra: state that gradients do not own (codebooks, running statistics).
      key: uint32 `[2]`, `jax.random.key_data` of the root key of training; constant.
    """

    step: Array
    params: dict[str, Tree]
    opt_state: Tree
    extra: Tree
    key: Array


def streams(key: Key) -> dict[str, Key]:
    """Split the root key of a run, `jax.random.key(seed)`, into independent root keys, one for each use."""
    names = ("init", "train", "validation", "test", "sample")
    return dict(zip(names, jax.random.split(key, len(names)), strict=True))


def stream(seed: int, name: str) -> Key:
    """Return the root key of one use of a run's seed: "init", "train", "validation", "test" or "sample"."""
    return streams(jax.random.key(seed))[name]


def init_state(
    objective: Objective, optimizer: optax.GradientTransformation, key: Key, given: Mapping[str, Tree] | None = None
) -> TrainState:
    """Initialise the state before the first step.

    `jax.vmap(lambda key: init_state(objective, optimizer, key))(keys)` is the state of a population; each member equals
    the run of its own key, up to rounding.

    Args:
      objective: draws the parameters.
      optimizer: initialises its own state.
      key: root key of the run; `streams` gives the keys of the parameters and of training.
      given: parts that replace the drawn ones, `{"params": {group: {part: tree}}, "extra": ...}`.
    """
    keys = streams(key)
    drawn = dict(zip(("params", "extra"), objective.init(keys["init"]), strict=True))
    kept = _with(drawn, given or {})
    params, extra = kept["params"], kept["extra"]
    root = jax.random.key_data(keys["train"])
    state = TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params), extra, root)
    # A weak type, of a number in an initialiser, would become a strong one in the first step, and compile it twice.
    return jax.tree.map(lambda leaf: jax.lax.convert_element_type(leaf, leaf.dtype), state)


def _with(drawn: Tree, given: Tree) -> Tree:
    """Replace entries of `drawn` by those of `given`."""
    if not isinstance(drawn, dict):
        return given
    return {name: _with(value, given[name]) if name in given else value for name, value in drawn.items()}


def split_state(state: TrainState) -> tuple[dict[str, Tree], dict[str, Tree]]:
    """Split a state into the weights for evaluation (the EMA, if there is one) and the rest."""
    params, opt_state = exchanged(state.params, state.opt_state)
    return {"params": params, "extra": state.extra}, {"opt_state": opt_state, "step": state.step, "key": state.key}


def join_state(weights: dict[str, Tree], rest: dict[str, Tree]) -> TrainState:
    """Invert `split_state`."""
    params, opt_state = exchanged(weights["params"], rest["opt_state"])
    return TrainState(rest["step"], params, opt_state, weights["extra"], rest["key"])
