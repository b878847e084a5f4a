"""Restore the model and parameters of a run from its folder alone."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError, first_line
from jaxvae.common.types import Tree
from jaxvae.data.spec import DataSpec
from jaxvae.data.stored import spec_of
from jaxvae.experiment.plain import load_config
from jaxvae.experiment.setup import built
from jaxvae.models.base import Model
from jaxvae.objectives import Objective
from jaxvae.runs.checkpoint_reader import Reader, difference, shapes
from jaxvae.runs.weights_file import NAME, is_exported, read_weights


def restore(workdir: str | os.PathLike, checkpoint: str = "best") -> tuple[Model, Tree]:
    """Restore the model and parameters of a run from its folder alone; no code in it is executed.

    Args:
      workdir: the run's folder (`--workdir`), or one of exported weights.
      checkpoint: "best" by `train.select`, "last", or a step.

    Returns:
      `(model, params)`: `model.encode(params, x)`, `model.decode(params, z)`, `model.prior(params)`.

    Raises:
      UserError: there is no run, or no sound checkpoint.
    """
    run = restore_run(workdir, checkpoint)
    return run.model, jax.tree.map(jnp.asarray, run.params)


class Restored(NamedTuple):
    """A restored run: `weights` is `{"params": {group: tree}, "extra": tree}` on the host, `info` its JSON.

    `params` are the model's effective parameters, computed from both. `which` is the checkpoint that was asked for,
    "best", "last" or a step.
    """

    config: Mapping[str, Any]
    spec: DataSpec
    model: Model
    params: Tree
    weights: dict[str, Tree]
    step: int
    info: dict[str, Any]
    which: str

    @property
    def checkpoint(self) -> tuple[int, dict[str, Tree], dict[str, Any]]:
        return self.step, self.weights, self.info


def restore_run(
    workdir: str | os.PathLike, checkpoint: str = "best", objects: Mapping[str, Any] = MappingProxyType({})
) -> Restored:
    """Restore a run with all groups of parameters, its config and the info of the checkpoint.

    `objects` are the parts that were given as Python objects, by the path of their setting.

    Raises:
      UserError: as `restore`; or the config and the checkpoint do not give a model, or one
        of another layout.
    """
    config = load_config(workdir)
    step, weights, info = _read(Path(workdir), checkpoint)
    try:
        spec = spec_of(info)
        model, objective = built(config, spec, objects)
        _check_layout(objective, weights, workdir)
        return restored(config, spec, model, objective, (step, weights, info), str(checkpoint))
    except UserError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise UserError(
            f"The run in '{workdir}' gives no model: config.json or the info of the checkpoint of step {step} is "
            f"invalid ({type(error).__name__}: {first_line(error)}). Restore the folder from a copy."
        ) from error


def _read(folder: Path, which: str) -> tuple[int, dict[str, Tree], dict[str, Any]]:
    """Read `(step, weights, info)` of a checkpoint, or of a folder of exported weights, which has a single one."""
    if not is_exported(folder):
        with contextlib.closing(Reader(folder / "checkpoints")) as reader:
            return reader.weights(which)
    step, weights, info = read_weights(folder / NAME)
    if str(which) not in ("best", "last", str(step)):
        raise UserError(f"'{folder}' holds the exported weights of step {step} alone, and no checkpoint '{which}'.")
    return step, weights, info


def restored(
    config: Mapping[str, Any],
    spec: DataSpec,
    model: Model,
    objective: Objective,
    checkpoint: tuple[int, dict[str, Tree], dict[str, Any]],
    which: str,
) -> Restored:
    """Put a run together from its parts and `(step, weights, info)` of a checkpoint."""
    step, weights, info = checkpoint
    params = objective.model_params(weights["params"], weights["extra"])
    return Restored(config, spec, model, params, weights, step, info, which)


def _check_layout(objective: Objective, weights: dict[str, Tree], workdir: str | os.PathLike) -> None:
    """Raise UserError where names or shapes of a run's arrays differ from those of its config with the current code."""
    here = dict(zip(("params", "extra"), jax.eval_shape(objective.init, jax.random.key(0)), strict=True))
    if differing := difference(shapes(here), shapes(weights)):
        raise UserError(
            f"The run in '{workdir}' has another layout of parameters than its config.json gives now: {differing}. Use "
            "the version of jaxvae, and of your own parts, that trained it; nothing was changed there."
        )
