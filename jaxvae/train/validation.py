"""Likelihood bounds and test metrics: pure functions, and a loop over a data set."""

import math
from collections.abc import Callable, Iterable

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Tree
from jaxvae.data.load import Split
from jaxvae.objectives import Objective, StepContext
from jaxvae.train.sharding import Parallel

ROUND_TO = 64  # the only batch of a small data set is padded to this, so that the noise is the same on any devices


def objective_metrics(
    objective: Objective,
    preprocess: Callable,
    train_size: int,
    params: Tree,
    extra: Tree,
    step: Array,
    key: Key,
    batch: dict,
) -> dict[str, Array]:
    """The objective's metrics on one batch of stored values; `[B]` each, whole-batch ones repeated."""
    data_key, loss_key = jax.random.split(key)
    x = preprocess(data_key, batch["x"])
    out = objective.loss(params, extra, {**batch, "x": x}, loss_key, StepContext(step, train_size))
    return {name: jnp.broadcast_to(value, x.shape[:1]) for name, value in out.metrics.items()}


def check_batch_size(batch_size: int, num_devices: int) -> None:
    """Raise UserError where the devices cannot share `batch_size` equally."""
    if batch_size < 1 or batch_size % num_devices:
        raise UserError(
            f"evaluate.batch_size is {batch_size}; it must be a multiple of the number of devices, {num_devices}."
        )


def mean_over(
    split: Split,
    per_example: Callable[..., dict[str, Array]],
    parallel: Parallel,
    key: Key,
    batch_size: int,
    progress: Callable[[list[int]], Iterable[int]] = iter,
) -> Callable[..., dict[str, float]]:
    """Make `(*trees) -> {name: mean over the split}` from `per_example(*trees, key, batch) -> {name: [B]}`.

    Batch i draws from `fold_in(key, i)`. All batches have one size, so that the function is compiled once: where it
    does not divide the split, the last batch begins earlier, and its overlap with the previous one has weight 0. (Rows
    repeated within a batch would distort statistics of the batch; only splits of less than ROUND_TO rows have them.)
    The results are the same, to rounding, on any number of devices that divides ROUND_TO. `progress` passes on the
    first rows of the batches; it is asked for the next one when the one before the last is done.

    Raises:
      UserError: the devices cannot share `batch_size` equally.
    """
    check_batch_size(batch_size, parallel.num_devices)
    if parallel.axis_name is not None:
        raise ValueError("mean_over needs the global view: under pmap a device sees only its part of the data.")
    num = len(split.x)
    if not num:
        raise UserError("There is nothing to take a mean over: the split is empty.")
    round_to = math.lcm(ROUND_TO, parallel.num_devices)
    batch_size = min(batch_size, max(num // round_to, 1) * round_to)

    @jax.jit
    def weighted_sums(trees, index, weight, batch):
        values = per_example(*trees, jax.random.fold_in(key, index), jax.tree.map(lambda a: a[0], batch))
        return {name: jnp.sum(value * weight[0]) for name, value in values.items()}

    def means(*trees):
        totals = []
        for index, start in enumerate(progress(list(range(0, num, batch_size)))):
            jax.block_until_ready(totals[-2:-1])
            rows = np.arange(batch_size) + max(min(start, num - batch_size), 0)
            weight = ((rows >= start) & (rows < num)).astype(np.float32)
            batch = {name: array[rows % num][None] for name, array in split.arrays.items()}
            totals.append(weighted_sums(trees, index, parallel.shard(weight[None]), parallel.shard(batch)))
        return {name: float(sum(np.float64(total[name]) for total in totals) / num) for name in totals[0]}

    return means
