"""Gradients of the mean loss of a batch, at once or accumulated over microbatches."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params, Tree
from jaxvae.objectives import Objective, StepContext
from jaxvae.objectives.base import check_groups

Gradients = tuple[dict[str, Params], dict[str, Array], Tree]


def gradients(
    objective: Objective,
    params: dict[str, Params],
    extra: Tree,
    batch: dict[str, Array],
    key: Key,
    ctx: StepContext,
) -> Gradients:
    """Compute `(gradients by group, metrics, next extra)`; losses and metrics are means over the batch.

    Raises:
      UserError: a group of parameters without a loss, or a loss without a group.
    """

    def loss(params: dict[str, Tree]):
        out = objective.loss(params, extra, batch, key, ctx)
        check_groups(params, out.losses)
        means = {name: jnp.mean(value) for name, value in out.metrics.items()}
        return {group: jnp.mean(value) for group, value in out.losses.items()}, (means, out.extra)

    losses, pullback, (metrics, extra) = jax.vjp(loss, params, has_aux=True)
    return {group: _own_gradient(pullback, losses, group) for group in losses}, metrics, extra


def _own_gradient(pullback: Callable, losses: dict[str, Array], group: str) -> Tree:
    """Compute the gradient of a group's own loss by its own parameters; XLA removes unused computations."""
    one_hot = {name: jnp.ones_like(v) if name == group else jnp.zeros_like(v) for name, v in losses.items()}
    return pullback(one_hot)[0][group]


def accumulated(
    num: int,
    unroll: bool,
    objective: Objective,
    params: dict[str, Params],
    extra: Tree,
    batch: dict[str, Array],
    key: Key,
    ctx: StepContext,
) -> Gradients:
    """Accumulate `gradients` over `num` equal microbatches, one after the other, with the memory of one.

    Every `num`-th row belongs to the same part, so that each device keeps its rows. The gradients, metrics and next
    extra are means over the parts.

    Args:
      num: number of parts, a divisor of B.
      unroll: unroll the loop, for networks that are slow inside `lax.scan`.
      objective: its loss must be a mean over examples.
      params: `{group: pytree}`.
      extra: state that gradients do not own, the same for all parts.
      batch: arrays `[B, ...]`.
      key: part i draws from `fold_in(key, i)`.
      ctx: context of the step.
    """
    parts = jax.tree.map(lambda a: jnp.moveaxis(a.reshape(-1, num, *a.shape[1:]), 1, 0), batch)

    def of_part(params: dict[str, Params], part: dict[str, Array], index: Array) -> Gradients:
        return gradients(objective, params, extra, part, jax.random.fold_in(key, index), ctx)

    def add(total: Tree, item: tuple[dict, Array]) -> tuple[Tree, None]:
        own = _after(total[0], params) if unroll else params
        return jax.tree.map(_add, total, of_part(own, *item)), None

    items = parts, jnp.arange(num)
    shapes = jax.eval_shape(of_part, params, *jax.tree.map(lambda a: a[0], items))
    total = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    total, _ = jax.lax.scan(add, total, items, unroll=unroll)
    return jax.tree.map(lambda leaf: leaf / num if _is_float(leaf) else leaf, total)


def _add(total: Array, value: Array) -> Array:
    return total + value if _is_float(total) else value


def _after(done: Tree, params: Tree) -> Tree:
    """Return the same numbers with a dependency on `done`, since XLA on CPU ignores an `optimization_barrier`."""
    seen = jnp.stack([jnp.ravel(leaf)[0] for leaf in jax.tree.leaves(done)])
    zero = jnp.minimum(jnp.sum(jnp.abs(jnp.nan_to_num(seen))), 0.0)
    return jax.tree.map(lambda leaf: leaf + zero.astype(leaf.dtype), params)


def _is_float(leaf: Array) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def check_accumulate(num: int, batch_size: int, num_devices: int = 1, whole_batch: str = "") -> None:
    """Raise UserError where a batch, shared by the devices, does not divide into `num` equal parts.

    `whole_batch` is why the objective needs the whole batch at once, "" if it does not.
    """
    if num < 1:
        raise UserError(f"train.accumulate is {num}; it must be 1 (the batch at once) or more parts.")
    if num > 1 and whole_batch:
        raise UserError(
            f"train.accumulate is {num}, but this objective needs the whole batch at once ({whole_batch}). Set "
            "train.accumulate=1, with train.remat=True or a smaller train.batch_size where memory is short."
        )
    if batch_size % (num * num_devices):
        each = f"{num_devices} devices with train.accumulate={num}" if num_devices > 1 else f"train.accumulate={num}"
        near = max(batch_size // (num * num_devices), 1) * num * num_devices
        raise UserError(
            f"train.batch_size is {batch_size}, which {each} cannot split equally; take a multiple of "
            f"{num * num_devices}, {near} for example."
        )
