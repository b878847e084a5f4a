"""Compile and run training steps on the devices."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from jaxvae.common.types import Array, Key, Tree
from jaxvae.data.feed import Feed
from jaxvae.objectives import Objective
from jaxvae.train.sharding import Parallel
from jaxvae.train.state import TrainState
from jaxvae.train.step import make_step


def make_many_steps(step: Callable, fetch: Callable[[Tree, Tree], dict]) -> Callable:
    """Make `(state, resident, items [n, B, ...]) -> (state, metrics [n])`: n steps in one device call."""

    def many(state: TrainState, resident: Tree, items: Tree):
        return jax.lax.scan(lambda s, item: step(s, fetch(resident, item)), state, items)

    return many


def make_one_step(step: Callable, fetch: Callable[[Tree, Tree], dict]) -> Callable:
    """Make `make_many_steps` for n = 1, without a loop."""

    def one(state: TrainState, resident: Tree, items: Tree):
        state, metrics = step(state, fetch(resident, jax.tree.map(lambda a: a[0], items)))
        return state, {name: value[None] for name, value in metrics.items()}

    return one


def make_trainer(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    preprocess: Callable[[Key, Array], Array],
    feed: Feed,
    parallel: Parallel,
    accumulate: int = 1,
    loops: bool = True,
) -> Callable[[TrainState, int, int], tuple[TrainState, dict[str, Array]]]:
    """Make `(state, step, num_steps) -> (state, metrics [num_steps])`: compiled steps on data of the feed.

    On CPU, networks with `loops` False (see `Network`) run each step in a separate call.
    """
    in_loop = loops or jax.default_backend() != "cpu"
    step = make_step(
        objective, optimizer, preprocess, feed.num_examples, parallel.axis_name, accumulate, unroll=not in_loop
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
