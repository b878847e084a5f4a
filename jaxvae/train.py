"""The train state, the pure step, and the one loop."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxvae.data.feed import Feed
from jaxvae.errors import NonFiniteLoss
from jaxvae.objectives import Objective, StepContext
from jaxvae.sharding import Parallel
from jaxvae.types import Array, Key, Tree


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


def init_state(objective: Objective, optimizer: optax.GradientTransformation, key: Key) -> TrainState:
    """The state before the first step."""
    params, extra = objective.init(key)
    state = TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params), extra)
    # A weak type, of a number in an initialiser, would become a strong one in the first step, and compile it twice.
    return jax.tree.map(lambda leaf: jax.lax.convert_element_type(leaf, leaf.dtype), state)


def make_step(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    preprocess: Callable[[Key, Array], Array],
    key: Key,
    train_size: int,
    axis_name: str | None = None,
) -> Callable[[TrainState, dict[str, Array]], tuple[TrainState, dict[str, Array]]]:
    """The pure step `(state, batch) -> (state, metrics)`; metrics are means over the batch.

    The step's randomness is `fold_in(key, state.step)`: nothing is carried, so nothing can be reused. With an
    `axis_name` (pmap) each device folds in its own index too, and gradients and metrics are averaged over the axis.
    """

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

        def loss(params: dict[str, Tree]):
            out = objective.loss(params, state.extra, batch, loss_key, StepContext(state.step, train_size))
            return {group: jnp.mean(value) for group, value in out.losses.items()}, (out.metrics, out.extra)

        losses, pullback, (metrics, extra) = jax.vjp(loss, state.params, has_aux=True)
        gradients = across({group: _own_gradient(pullback, losses, group) for group in losses})
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params: Any = optax.apply_updates(state.params, updates)
        metrics = across({name: jnp.mean(value) for name, value in metrics.items()})
        return TrainState(state.step + 1, params, opt_state, across(extra)), metrics

    return step


def _own_gradient(pullback: Callable, losses: dict[str, Array], group: str) -> Tree:
    """The gradient of a group's own loss with respect to its own parameters; XLA drops what that leaves unused."""
    one_hot = {name: jnp.ones_like(v) if name == group else jnp.zeros_like(v) for name, v in losses.items()}
    return pullback(one_hot)[0][group]


def make_many_steps(step: Callable, fetch: Callable[[Tree, Tree], dict]) -> Callable:
    """`(state, resident, items [n, B, ...]) -> (state, metrics [n])`, n steps in one call of the device."""

    def many(state: TrainState, resident: Tree, items: Tree):
        return jax.lax.scan(lambda s, item: step(s, fetch(resident, item)), state, items)

    return many


def make_trainer(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    preprocess: Callable[[Key, Array], Array],
    feed: Feed,
    key: Key,
    train_size: int,
    parallel: Parallel,
) -> Callable[[TrainState, int, int], tuple[TrainState, dict[str, Array]]]:
    """`(state, step, num_steps) -> (state, metrics [num_steps])`: the compiled steps on the devices' own data."""
    step = make_step(objective, optimizer, preprocess, key, train_size, parallel.axis_name)
    compiled = parallel.compile(make_many_steps(step, feed.fetch))
    resident = parallel.replicate(feed.resident)

    def run(state, first, num_steps):
        state, metrics = compiled(state, resident, parallel.shard(feed.items(first, num_steps)))
        return state, parallel.collect(metrics)

    return run


def fit(
    state: TrainState,
    run: Callable,
    *,
    first_step: int,
    steps_per_epoch: int,
    num_epochs: int,
    steps_per_call: int,
    eval_every_epochs: int,
    on_steps: Callable[[int, dict[str, np.ndarray]], None],
    on_epoch: Callable[[TrainState, int], None],
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[TrainState, int]:
    """The one training loop; returns the last state and its step.

    Calls end at multiples of `steps_per_call` within an epoch whatever step a run starts from, so that a resumed
    run makes the very same calls. The metrics of one call are read while the devices work on the next.

    Args:
      state: placed on the devices; donated.
      run: `make_trainer`'s function.
      first_step: the number of steps that `state` has done.
      steps_per_epoch: steps in one pass over the data.
      num_epochs: where to end.
      steps_per_call: steps in one call of the devices.
      eval_every_epochs: how often `on_epoch` is called; always at the end.
      on_steps: told `(last_step, metrics [n])` of each call, on the host.
      on_epoch: told `(state, step)`.
      should_stop: asked after each call; True ends the loop.

    Raises:
      NonFiniteLoss: a loss was NaN or infinite; raised before any later state reaches `on_epoch`.
    """
    step, last = first_step, num_epochs * steps_per_epoch
    pending = None

    def read():
        nonlocal pending
        if pending is not None:
            end, metrics = pending
            pending = None
            metrics = {name: np.asarray(value) for name, value in metrics.items()}
            check_finite(end, metrics["loss"])
            on_steps(end, metrics)

    while step < last:
        offset = step % steps_per_epoch
        num = min(steps_per_call - offset % steps_per_call, steps_per_epoch - offset)
        state, metrics = run(state, step, num)
        step += num
        read()
        pending = (step, metrics)
        stop = should_stop()
        epoch, offset = divmod(step, steps_per_epoch)
        due = offset == 0 and (epoch % eval_every_epochs == 0 or step == last)
        if due or stop:
            read()
        if due:
            on_epoch(state, step)
        if stop:
            break
    return state, step


def check_finite(end: int, loss: np.ndarray) -> None:
    """Raises NonFiniteLoss naming the first bad step of a call that ended at step `end`."""
    bad = np.flatnonzero(~np.isfinite(loss))
    if bad.size:
        step = end - len(loss) + int(bad[0]) + 1
        value = loss[bad[0]]
        raise NonFiniteLoss(
            f"The loss became {'NaN' if math.isnan(value) else value} at step {step}. The last good checkpoint is "
            "kept. Try a smaller optimizer.learning_rate or optimizer.clip_norm=1, with another --workdir, and look "
            "for extreme values in the data."
        )
