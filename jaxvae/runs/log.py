"""Log a run to metrics.jsonl and TensorBoard events."""

import contextlib
import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxvae.common.files import require_regular
from jaxvae.runs.trackers.tensorboard import TensorBoard

PLACE = ("step", "epoch", "split")  # of a row; its other entries are scalars
log = logging.getLogger("jaxvae")


class MetricsLog:
    """Write `metrics.jsonl` and TensorBoard events; rows after `first_step`, left by a killed run, are dropped."""

    def __init__(self, workdir: Path, first_step: int, has_events: bool = True):
        self._path = workdir / "metrics.jsonl"
        kept = [row for row in read_metrics(workdir) if row["step"] <= first_step]
        scratch = self._path.with_suffix(".tmp")
        scratch.write_text("".join(json.dumps(row) + "\n" for row in kept))
        scratch.replace(self._path)
        self._file = self._path.open("a")
        self._events = TensorBoard(workdir, first_step) if has_events else None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of the file, read from it: a long run has too many to keep them in memory."""
        return read_metrics(self._path.parent)

    def row(self, step: int, epoch: float, split: str, metrics: Mapping[str, float]) -> None:
        """Write one row of scalars; values that are not finite are null, but NaN or infinite in TensorBoard."""
        self.write(row_of(step, epoch, split, metrics), metrics)

    def write(self, row: Mapping[str, Any], metrics: Mapping[str, float] | None = None) -> None:
        """Write one row of `metrics.jsonl`; `metrics` are its scalars for TensorBoard, by default those of the row."""
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        known = {name: value for name, value in row.items() if name not in PLACE and value is not None}
        if self._events:
            scalars = metrics if metrics is not None else known
            self._events.scalars(row["step"], {f"{row['split']}/{name}": value for name, value in scalars.items()})

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """Write one RGB picture `[H, W, 3]`, uint8, to TensorBoard."""
        if self._events:
            self._events.image(step, name, picture)

    def close(self) -> None:
        """Flush and close both files, even where one fails: Python would try again, and complain, at exit."""
        with contextlib.closing(self._events) if self._events else contextlib.nullcontext(), self._file:
            pass


def row_of(step: int, epoch: float, split: str, metrics: Mapping[str, float]) -> dict[str, Any]:
    """Return one row of `metrics.jsonl`; values that are not finite become None, since JSON has no NaN."""
    values = {name: float(value) for name, value in metrics.items()}
    shown = {name: value if math.isfinite(value) else None for name, value in values.items()}
    return {"step": step, "epoch": round(epoch, 4), "split": split, **shown}


def read_metrics(workdir: Path) -> list[dict[str, Any]]:
    """Read the complete rows of `metrics.jsonl`.

    Lines truncated by a kill are left out. Rows that are not objects with a step are left out with a warning.

    Raises:
      UserError: the log is not a regular file.
    """
    path, rows = workdir / "metrics.jsonl", []
    require_regular(path)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    for line in lines:
        with contextlib.suppress(ValueError, RecursionError):
            rows.append(json.loads(line))
    sound = [row for row in rows if isinstance(row, dict) and type(row.get("step")) is int]
    if len(sound) < len(rows):
        log.warning("%d rows of '%s' are left out: they are not objects with a step.", len(rows) - len(sound), path)
    return sound
