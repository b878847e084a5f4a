"""Gradients of the mean loss of a batch, at once or part by part."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params, Tree
from jaxvae.objectives import Objective, StepContext

Gradients = tuple[dict[str, Params], dict[str, Array], Tree]


def gradients(
    objective: Objective,
    params: dict[str, Params],
    extra: Tree,
    batch: dict[str, Array],
    key: Key,
    ctx: StepContext,
) -> Gradients:
    """`(gradients by group, metrics, next extra)`; losses and metrics are means over the batch."""

    def loss(params: dict[str, Tree]):
        out = objective.loss(params, extra, batch, key, ctx)
        means = {name: jnp.mean(value) for name, value in out.metrics.items()}
        return {group: jnp.mean(value) for group, value in out.losses.items()}, (means, out.extra)

    losses, pullback, (metrics, extra) = jax.vjp(loss, params, has_aux=True)
    return {group: _own_gradient(pullback, losses, group) for group in losses}, metrics, extra


def _own_gradient(pullback: Callable, losses: dict[str, Array], group: str) -> Tree:
    """The gradient of a group's own loss with respect to its own parameters; XLA drops what that leaves unused."""
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
    """As `gradients`, from `num` equal parts of the batch one after the other: the memory is that of one part.

    Every `num`-th row is of the same part, so that each device keeps its rows. Part i draws from `fold_in(key, i)`; the
    gradients, metrics and next extra are the means over the parts, all of which see the same `extra`.

    Args:
      num: divides the batch.
      unroll: whether the parts are written out, where `lax.scan` does not suit the networks.
      objective: its loss must be a mean over examples.
      params: `{group: pytree}`.
      extra: state that gradients do not own; all parts see the same.
      batch: arrays `[B, ...]`.
      key: part i draws from `fold_in(key, i)`.
      ctx: the step and what else an objective may use.
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
    """The same numbers, but they wait for what is `done`: XLA on CPU passes over an `optimization_barrier`."""
    seen = jnp.stack([jnp.ravel(leaf)[0] for leaf in jax.tree.leaves(done)])
    zero = jnp.minimum(jnp.sum(jnp.abs(jnp.nan_to_num(seen))), 0.0)
    return jax.tree.map(lambda leaf: leaf + zero.astype(leaf.dtype), params)


def _is_float(leaf: Array) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def check_accumulate(num: int, batch_size: int, num_devices: int = 1, whole_batch: str = "") -> None:
    """Raises UserError where a batch, shared by the devices, cannot be taken in `num` equal parts.

    `whole_batch` is why the objective needs the whole batch at once, if it does: such a one takes no parts.
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
