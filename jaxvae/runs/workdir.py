"""The folder of a run: its config, its log, its results; and how a run is given back."""

import contextlib
import fcntl
import json
import math
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tensorboardX import summary
from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]
from tensorboardX.record_writer import RecordWriter

from jaxvae.experiment import build
from jaxvae.runs.checkpoint_reader import Reader
from jaxvae.common.errors import UserError
from jaxvae.models.vae import Model
from jaxvae.experiment.plain import completed
from jaxvae.experiment.trees import flatten
from jaxvae.common.types import Tree


def restore(workdir: str | os.PathLike, checkpoint: str = "best") -> tuple[Model, Tree]:
    """The model and parameters of a run, from its folder alone; no code in it is executed.

    Args:
      workdir: what `--workdir` was.
      checkpoint: "best" by validation loss, "last", or a step.

    Returns:
      `(model, params)`: `model.encode(params, x)`, `model.decode(params, z)`, `model.prior(params)`.

    Raises:
      UserError: there is no run, or no sound checkpoint.
    """
    run = restore_run(workdir, checkpoint)
    return run.model, jax.tree.map(jnp.asarray, run.params)


# Where things lie on one machine, and how they are read there, is no part of a run.
MACHINE = {"data.data_dir", "data.cache_dir", "data.stream", "data.workers"}


class Restored(NamedTuple):
    """A run read back: `weights` is `{"params": {group: tree}, "extra": tree}` on the host, `info` its JSON.

    `params` is what the model is used with, made of both.
    """

    config: dict[str, Any]
    spec: build.DataSpec
    model: Model
    params: Tree
    weights: dict[str, Tree]
    step: int
    info: dict[str, Any]


def restore_run(workdir: str | os.PathLike, checkpoint: str = "best") -> Restored:
    """As `restore`, with all groups of parameters, the config and what was noted with the checkpoint."""
    config = load_config(workdir)
    with contextlib.closing(Reader(Path(workdir) / "checkpoints")) as reader:
        step, weights, info = reader.weights(checkpoint)
    spec = _spec(info)
    model = build.model(config, spec)
    params = build.objective(config, model, spec, total_steps=1).model_params(weights["params"], weights["extra"])
    return Restored(config, spec, model, params, weights, step, info)


def _spec(info: dict[str, Any]) -> build.DataSpec:
    of_json = {key: tuple(info["data"].get(key, ())) for key in ("shape", "vocabulary")}  # which has no tuples
    return build.DataSpec(**{**info["data"], **of_json})


def load_config(workdir: str | os.PathLike) -> dict[str, Any]:
    """The resolved config of a run, with the settings that came after it.

    Raises:
      UserError: there is no run in this folder.
    """
    path = Path(workdir) / "config.json"
    try:
        config = json.loads(path.read_text())
        if not isinstance(config, dict) or not all(isinstance(config.get(key), dict) for key in ("data", "model")):
            raise ValueError("it is no config")
        return completed(config)
    except (OSError, ValueError) as error:
        raise UserError(
            f"'{workdir}' holds no run: {path} cannot be read ({error}). Give the --workdir of a run."
        ) from error


def claim(workdir: Path, config: Mapping[str, Any], write: bool = True) -> None:
    """Makes the folder and writes `config.json`, unless another run lives there. Every host looks, one writes.

    Raises:
      UserError: the folder holds a run with a different config; the differing keys are shown.
    """
    config = json.loads(json.dumps(config))
    if (workdir / "config.json").exists():
        old, new = flatten(load_config(workdir)), flatten(completed(config))
        keys = sorted(key for key in (old.keys() | new.keys()) - MACHINE if old.get(key) != new.get(key))
        if keys:
            lines = "; ".join(f"{key}: {old.get(key)!r} there, {new.get(key)!r} now" for key in keys)
            raise UserError(
                f"'{workdir}' holds a run with a different config ({lines}). Nothing was changed. Give another "
                "--workdir, or the same settings to go on with that run."
            )
    elif write:
        workdir.mkdir(parents=True, exist_ok=True)
        write_json(workdir / "config.json", config)


def lock(workdir: Path) -> IO:
    """Holds the folder for this process alone, until the file it returns is closed or the process ends in any way.

    Raises:
      UserError: another process trains there.
    """
    file = (workdir / ".lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise UserError(
            f"Another process is training in '{workdir}'. Wait for it, or give another --workdir."
        ) from error
    return file


def write_json(path: Path, value: Any) -> None:
    """Writes a file that is either whole or not there."""
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n")
    scratch.replace(path)


def read_results(workdir: Path) -> dict[str, Any]:
    """`results.json`; `{}` where there is none, or none that can be read."""
    try:
        found = json.loads((workdir / "results.json").read_text())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


class MetricsLog:
    """`metrics.jsonl` and TensorBoard events; rows after `first_step`, left by a killed run, are dropped.

    Events are written at once, not by SummaryWriter's thread: where a disk fills up, that thread dies unheard and the
    next `add_scalar` waits for it for ever.
    """

    def __init__(self, workdir: Path, first_step: int):
        self._path = workdir / "metrics.jsonl"
        kept = [row for row in read_metrics(workdir) if row["step"] <= first_step]
        scratch = self._path.with_suffix(".tmp")
        scratch.write_text("".join(json.dumps(row) + "\n" for row in kept))
        scratch.replace(self._path)
        self._file = self._path.open("a")
        (workdir / "tensorboard").mkdir(exist_ok=True)
        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}"
        self._events = RecordWriter(str(workdir / "tensorboard" / name))
        self._event(0, file_version="brain.Event:2")
        if first_step:  # tells TensorBoard to drop what comes after, as above
            self._event(first_step + 1, session_log=SessionLog(status=SessionLog.SessionStatus.Value("START")))

    def row(self, step: int, epoch: float, split: str, metrics: Mapping[str, float]) -> None:
        """One row of scalars; JSON has no NaN, so that null stands for what is not finite."""
        values = {name: float(value) for name, value in metrics.items()}
        shown = {name: value if math.isfinite(value) else None for name, value in values.items()}
        self._file.write(json.dumps({"step": step, "epoch": round(epoch, 4), "split": split, **shown}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._event(step, summary=summary.scalar(f"{split}/{name}", value))
        self._events.flush()

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """One RGB picture `[H, W, 3]`, uint8, for TensorBoard."""
        self._event(step, summary=summary.image(name, picture, dataformats="HWC"))

    def close(self) -> None:
        """Writes what is left; both are closed, whatever fails: Python would try again, and complain, at the end."""
        with contextlib.closing(self._events), self._file:
            pass

    def _event(self, step: int, **content: Any) -> None:
        self._events.write(Event(step=step, wall_time=time.time(), **content).SerializeToString())


def read_metrics(workdir: Path) -> list[dict[str, Any]]:
    """The whole rows of `metrics.jsonl`; a line that a kill cut in two is left out."""
    path, rows = workdir / "metrics.jsonl", []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows
