"""The train state, the pure step, and how the devices run it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxvae.common.types import Array, Key, Tree
from jaxvae.data.feed import Feed
from jaxvae.objectives import Objective, StepContext
from jaxvae.train.gradients import accumulated, gradients
from jaxvae.train.sharding import Parallel
from jaxvae.train.transforms import was_skipped


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


def make_step(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    preprocess: Callable[[Key, Array], Array],
    key: Key,
    train_size: int,
    axis_name: str | None = None,
    accumulate: int = 1,
    unroll: bool = False,
) -> Callable[[TrainState, dict[str, Array]], tuple[TrainState, dict[str, Array]]]:
    """The pure step `(state, batch) -> (state, metrics)`: one update; metrics are means over the batch.

    The step's randomness is `fold_in(key, state.step)`: nothing is carried, so nothing can be reused. With an
    `axis_name` (pmap) each device folds in its own index too, and gradients and metrics are averaged over the axis.
    With `accumulate` above 1 the gradient comes from so many equal parts of the batch, see `gradients.accumulated`.
    Where the optimiser skips the update, nothing but the step changes, and the metric "skipped" is 1.
    """
    of_batch = partial(gradients, objective) if accumulate == 1 else partial(accumulated, accumulate, unroll, objective)

    def across(tree: Tree) -> Tree:
        if axis_name is None:
            return tree
        return jax.tree.map(lambda x: jax.lax.pmean(x, axis_name) if jnp.issubdtype(x.dtype, jnp.inexact) else x, tree)

    def step(state: TrainState, batch: dict[str, Array]) -> tuple[TrainState, dict[str, Array]]:
        step_key = jax.random.fold_in(key, state.step)
        if axis_name is not None:
            step_key = jax.random.fold_in(step_key, jax.lax.axis_index(axis_name))
        data_key, loss_key = jax.random.split(step_key)
        batch = {**batch, "x": preprocess(data_key, batch["x"])}

        grads, metrics, extra = of_batch(
            state.params, state.extra, batch, loss_key, StepContext(state.step, train_size, is_training=True)
        )
        updates, opt_state = optimizer.update(across(grads), state.opt_state, state.params)
        params: Any = optax.apply_updates(state.params, updates)
        metrics, extra = across((metrics, extra))
        skipped = was_skipped(opt_state)
        if skipped is not None:
            metrics = {**metrics, "skipped": skipped.astype(jnp.float32)}
            extra = jax.tree.map(lambda old, new: jnp.where(skipped, old, new), state.extra, extra)
        return TrainState(state.step + 1, params, opt_state, extra), metrics

    return step


def make_many_steps(step: Callable, fetch: Callable[[Tree, Tree], dict]) -> Callable:
    """`(state, resident, items [n, B, ...]) -> (state, metrics [n])`, n steps in one call of the device."""

    def many(state: TrainState, resident: Tree, items: Tree):
        return jax.lax.scan(lambda s, item: step(s, fetch(resident, item)), state, items)

    return many


def make_one_step(step: Callable, fetch: Callable[[Tree, Tree], dict]) -> Callable:
    """As `make_many_steps` for n = 1, without a loop."""

    def one(state: TrainState, resident: Tree, items: Tree):
        state, metrics = step(state, fetch(resident, jax.tree.map(lambda a: a[0], items)))
        return state, {name: value[None] for name, value in metrics.items()}

    return one


def make_trainer(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    preprocess: Callable[[Key, Array], Array],
    feed: Feed,
    key: Key,
    train_size: int,
    parallel: Parallel,
    accumulate: int = 1,
    loops: bool = True,
) -> Callable[[TrainState, int, int], tuple[TrainState, dict[str, Array]]]:
    """`(state, step, num_steps) -> (state, metrics [num_steps])`: the compiled steps on the devices' own data.

    On CPU, networks that do not suit loops (`loops` False, see `Network`) make their steps in a call each.
    """
    in_loop = loops or jax.default_backend() != "cpu"
    step = make_step(
        objective, optimizer, preprocess, key, train_size, parallel.axis_name, accumulate, unroll=not in_loop
    )
    compiled = parallel.compile((make_many_steps if in_loop else make_one_step)(step, feed.fetch))
    resident = parallel.replicate(feed.resident)

    def run(state, first, num_steps):
        items, rows = feed.items(first, num_steps), []
        size = num_steps if in_loop else 1
        for i in range(0, num_steps, size):
            part = jax.tree.map(lambda a, i=i: a[i : i + size], items)
            state, metrics = compiled(state, resident, parallel.shard(part))
            rows.append(parallel.collect(metrics))
        return state, rows[0] if in_loop else jax.tree.map(lambda *row: jnp.concatenate(row), *rows)

    return run
