"""One optimiser for each group of parameters, and parameters that are frozen."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import optax

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.types import Params, Tree

FROZEN = "(frozen)"  # label of the parameters that do not move


def by_group(
    optimizers: Mapping[str, optax.GradientTransformation], freeze: Sequence[str] = ()
) -> optax.GradientTransformation:
    """Update each group of parameters `{group: pytree}` with its own optimiser, by `optax.partition`.

    A single group of which nothing is frozen has the plain state of its optimiser.

    Args:
      optimizers: by group.
      freeze: dotted paths of frozen parameters: a group, a part, or deeper ("model", "model.encoder",
        "model.encoder.Dense_0"). They have no moments and no EMA, and keep their bits.

    Raises:
      UserError: from `init`: groups without an optimiser or optimisers without a group, a frozen path that does not
        exist, nothing left to train.
    """

    def labels(params: Params) -> Tree:
        return jax.tree_util.tree_map_with_path(lambda path, _: _label(path, freeze), params)

    transforms: dict[Any, optax.GradientTransformation] = {**optimizers, FROZEN: optax.set_to_zero()}
    is_plain = len(optimizers) == 1 and not freeze
    made = next(iter(optimizers.values())) if is_plain else optax.partition(transforms, labels)

    def init(params: Params) -> Tree:
        _check(params, optimizers, freeze)
        return made.init(params)

    return optax.GradientTransformation(init, made.update)


def _label(path: tuple, freeze: Sequence[str]) -> str:
    name = _dotted(path)
    return FROZEN if any(_holds(frozen, name) for frozen in freeze) else _dotted(path[:1])


def _dotted(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _holds(prefix: str, name: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _check(params: Params, optimizers: Mapping[str, object], freeze: Sequence[str]) -> None:
    for group in sorted(optimizers.keys() ^ params.keys()):
        if group in params:
            raise UserError(f"The group of parameters '{group}' has no optimiser; there are {sorted(optimizers)}.")
        raise unknown("group of parameters", group, params)
    names = [_dotted(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    for frozen in freeze:
        if not any(_holds(frozen, name) for name in names):
            depths = 1, max(2, frozen.count(".") + 1)
            there = {".".join(name.split(".")[:depth]) for name in names for depth in depths}
            raise UserError(f"train.freeze: {unknown('part of the parameters', frozen, there)}")
    if all(any(_holds(frozen, name) for frozen in freeze) for name in names):
        raise UserError(f"train.freeze={tuple(freeze)} freezes every parameter, so that nothing is left to train.")
