"""Let a run go on with other settings: check them before anything is written, then record them."""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax
import optax

from jaxvae.common.errors import UserError
from jaxvae.common.files import require_regular
from jaxvae.common.types import Tree
from jaxvae.experiment import build
from jaxvae.experiment.objects import with_objects
from jaxvae.experiment.plain import load_config
from jaxvae.experiment.setup import Experiment
from jaxvae.runs.checkpoint_reader import is_step, read_info
from jaxvae.runs.initial import check_data
from jaxvae.runs.workdir import changed, write_json

HISTORY = "history.jsonl"


def check(experiment: Experiment, optimizer: optax.GradientTransformation, workdir: Path | None) -> None:
    """Check that the run in `workdir`, if there is one, can go on with the settings of an experiment.

    Raises:
      UserError: see `workdir.changed`; or the data is not that of the run; or the state of the optimiser would have
        another structure, so that its moments would be lost.
    """
    if workdir is None or not (workdir / "config.json").exists() or not changed(workdir, experiment.config):
        return
    for step in _steps(workdir):
        try:
            info = read_info(workdir / "checkpoints" / str(step))
        except (OSError, ValueError):  # damaged: said when it is restored
            continue
        check_data(info, experiment, workdir)
        break
    before, now = load_config(workdir), experiment.config
    per_epoch = experiment.total_steps // now["train"]["num_epochs"]
    total = per_epoch * before["train"]["num_epochs"]
    building = with_objects({**now, "optimizer": before["optimizer"]}, experiment.objects)
    was = build.optimizer(building, experiment.objective, total)
    if _structure(experiment, was) != _structure(experiment, optimizer):
        raise UserError(
            f"The run in '{workdir}' cannot go on with these optimizer settings: the state of its optimiser would have "
            "another structure, and its moments would be lost. Nothing was changed. A clip_norm above 0 can change to "
            "another one above 0, and the learning rate, the schedule and warmup_steps to any; for other changes start "
            f"a new run from its parameters, with --config.train.start_from={workdir} and another --workdir."
        )


def record(workdir: Path, config: Mapping[str, Any]) -> None:
    """Say and record the settings that changed: a line each on stderr, a row of `history.jsonl`, `config.json`."""
    found = changed(workdir, config)
    if not found:
        return
    for key, (old, new) in found.items():
        print(f"changed: {key}, {old!r} before, {new!r} now", file=sys.stderr)
    path, step = workdir / HISTORY, next(iter(_steps(workdir)), 0)
    require_regular(path)
    row = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "step": step, "changes": found}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    write_json(workdir / "config.json", config)


def times(workdir: Path) -> int:
    """Return how often the run went on with other settings."""
    path = workdir / HISTORY
    return len(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else 0


def finished(step: int, experiment: Experiment) -> str:
    """Return a sentence where a run of `step` steps has nothing left to train; else ""."""
    epochs, total = experiment.config["train"]["num_epochs"], experiment.total_steps
    if not 0 < total <= step:
        return ""
    done = f"{step * epochs / total:g}"
    more = f", more than train.num_epochs={epochs}" if step > total else ""
    return f"The run is finished: it has done {done} epochs{more}. A larger train.num_epochs trains it longer."


def _steps(workdir: Path) -> list[int]:
    """Return the steps of the checkpoints, newest first."""
    folder = workdir / "checkpoints"
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted((int(name) for name in names if is_step(name)), reverse=True)


def _structure(experiment: Experiment, optimizer: optax.GradientTransformation) -> tuple[Any, list[Any]]:
    params: Tree = jax.eval_shape(experiment.objective.init, jax.random.key(0))[0]
    state = jax.eval_shape(optimizer.init, params)
    return jax.tree.structure(state), [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(state)]
