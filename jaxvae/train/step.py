"""The pure training step."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxvae.common.types import Array, Key, Tree
from jaxvae.objectives import Objective, StepContext
from jaxvae.train.gradients import accumulated, gradients
from jaxvae.train.state import TrainState
from jaxvae.train.transforms import skips


def make_step(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    preprocess: Callable[[Key, Array], Array],
    train_size: int,
    axis_name: str | None = None,
    accumulate: int = 1,
    unroll: bool = False,
) -> Callable[[TrainState, dict[str, Array]], tuple[TrainState, dict[str, Array]]]:
    """Make the pure step `(state, batch) -> (state, metrics)`: one update; metrics are means over the batch.

    All randomness comes from `fold_in(state.key, state.step)`, so that `jax.vmap(step, in_axes=(0, None))` trains a
    population, each member with noise of its own. With an `axis_name` (pmap) each device folds in its own index too,
    and gradients and metrics are averaged over the axis. With `accumulate` above 1 the gradient comes from so many
    equal parts of the batch, see `gradients.accumulated`. Where the optimiser skips the update, nothing but the step
    changes, and the metric "skipped" is 1; of several groups (`skipped_<group>`) the others move on, but `extra` stays.
    """
    of_batch = partial(gradients, objective) if accumulate == 1 else partial(accumulated, accumulate, unroll, objective)

    def across(tree: Tree) -> Tree:
        if axis_name is None:
            return tree
        return jax.tree.map(lambda x: jax.lax.pmean(x, axis_name) if jnp.issubdtype(x.dtype, jnp.inexact) else x, tree)

    def step(state: TrainState, batch: dict[str, Array]) -> tuple[TrainState, dict[str, Array]]:
        step_key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
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
        if skipped := skips(opt_state):
            metrics = {**metrics, **{name: value.astype(jnp.float32) for name, value in skipped.items()}}
            keep = jnp.any(jnp.stack(list(skipped.values())))
            extra = jax.tree.map(lambda old, new: jnp.where(keep, old, new), state.extra, extra)
        return TrainState(state.step + 1, params, opt_state, extra, state.key), metrics

    return step
