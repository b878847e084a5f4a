"""Build one optimiser for all parameter groups, from the config's section `optimizer` and `train.freeze`."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxvae.common.errors import UserError, unknown
from jaxvae.experiment.parts import part
from jaxvae.objectives import Objective
from jaxvae.train import groups, optimizers

COMMON = ("learning_rate", "warmup_steps", "clip_norm", "ema_decay", "skip_norm", "every")  # of all optimisers


def optimizer(config: Mapping[str, Any], objective: Objective, total_steps: int) -> optax.GradientTransformation:
    """Build the optimiser that a config describes, for the groups of an objective and a run of `total_steps`.

    Each group has the settings of `optimizer`, overridden by those of `optimizer.groups.<group>`; parameters in
    `train.freeze` are frozen.

    Raises:
      UserError: a group or frozen part that does not exist, or a value out of its range.
    """
    section = dict(config["optimizer"])
    overrides = section.pop("groups", {})
    params = jax.eval_shape(objective.init, jax.random.key(0))[0]
    for group in overrides:
        if group not in params:
            raise UserError(f"optimizer.groups: {unknown('group of parameters', group, params)}")
    made = {group: _of_group(group, section, overrides.get(group, {}), total_steps) for group in params}
    chosen = groups.by_group(made, _names(config.get("train", {}).get("freeze", ())))
    jax.eval_shape(chosen.init, params)  # refuses frozen parts that do not exist
    return chosen


def _of_group(
    group: str, section: Mapping[str, Any], own: Mapping[str, Any], total_steps: int
) -> optax.GradientTransformation:
    spec = _overridden(section, {key: value for key, value in own.items() if key != "schedule"}, (*COMMON, "schedule"))
    spec["schedule"] = _overridden(section["schedule"], own.get("schedule", {}))
    try:
        return _make(spec, total_steps)
    except UserError as error:
        raise UserError(f"Of the group '{group}': {error}" if own else str(error)) from error


def _overridden(shared: Mapping[str, Any], own: Mapping[str, Any], common: tuple[str, ...] = ()) -> dict[str, Any]:
    """Override settings of a part; where the name changes, only the `common` shared settings are kept."""
    if own.get("name", shared.get("name")) != shared.get("name"):
        shared = {key: value for key, value in shared.items() if key in common}
    return {**shared, **own}


def _make(spec: dict[str, Any], total_steps: int) -> optax.GradientTransformation:
    schedule = part("schedule", spec.pop("schedule"))
    common = {key: spec.pop(key) for key in COMMON if key in spec}
    update = part("optimizer", spec)
    try:
        made = optimizers.make_optimizer(update, schedule, total_steps=total_steps, **common)
        jax.eval_shape(made.init, jnp.zeros(1))
    except (TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"The optimizer '{spec['name']}' does not work with {spec}: {error}") from error
    return made


def _names(freeze: Any) -> list[str]:
    """Split `train.freeze`, a tuple of strings, each of one name or several separated by commas."""
    if not all(isinstance(each, str) for each in freeze):
        raise UserError(f"train.freeze is {freeze!r}; it must be names of parameters, ('model.encoder',) for example.")
    return [name.strip() for each in freeze for name in each.split(",") if name.strip()]
