"""Where a run is kept: in a folder, or in memory alone."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.types import Tree
from jaxvae.experiment.changes import PLACES
from jaxvae.runs import going_on
from jaxvae.runs.checkpoint_reader import Reader, checksum, is_step, read_info
from jaxvae.runs.checkpoints import Checkpoints
from jaxvae.runs.log import MetricsLog, read_metrics, row_of
from jaxvae.runs.weights_file import refuse_training
from jaxvae.runs.workdir import changed, claim, lock, require_folder
from jaxvae.train.sharding import wait_for_all

Weights = tuple[int, Tree, dict[str, Any]]  # step, {"params": ..., "extra": ...}, info


class Saved(NamedTuple):
    """A state of host arrays, see `Checkpoints.save`."""

    step: int
    weights: Tree
    rest: Tree
    info: dict[str, Any]
    score: float | None

    @property
    def checkpoint(self) -> Weights:
        """Return its weights, as `Storage.weights` does."""
        return self.step, self.weights, self.info


class Storage(Protocol):
    """Where a run is kept; `workdir` is None for a run in memory."""

    workdir: Path | None

    def claimed(self, config: Mapping[str, Any]) -> contextlib.AbstractContextManager:
        """Reserve the place for the run of a config, while the context lasts."""
        ...

    def part(self, name: str) -> "Storage":
        """Return the place of a stage of the run."""
        ...

    def kept(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Return what `make` first returned for this name: a resumed run, and every host, gets the same."""
        ...

    def checkpoints(self) -> Any:
        """Open the checkpoints: an object with the methods of `Checkpoints`."""
        ...

    def log(self, first_step: int, has_events: bool = True) -> Any:
        """Open the log: an object with the methods of `MetricsLog`, with TensorBoard events where `has_events`."""
        ...

    def weights(self, which: str) -> Weights:
        """Return one checkpoint, "best", "last" or a step."""
        ...

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of the log."""
        ...


class Disk:
    """Keep a run in a folder."""

    def __init__(self, workdir: Path):
        self.workdir: Path | None = workdir
        self._folder = workdir

    @contextlib.contextmanager
    def claimed(self, config: Mapping[str, Any]) -> Iterator[None]:
        """Claim the folder; the first host writes and locks it, the others wait for that."""
        first_host = jax.process_index() == 0
        refuse_training(self._folder)
        claim(self._folder, config, write=first_host)
        with lock(self._folder) if first_host else contextlib.nullcontext():
            if first_host:
                going_on.record(self._folder, config)
            yield

    def part(self, name: str) -> "Disk":
        """Return the place of a stage, a folder of its own in that of the run."""
        return Disk(self._folder / name)

    def kept(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Keep the array in a file of the folder, which the first host writes once."""
        path = self._folder / f"{name}.npy"
        if jax.process_index() == 0 and not path.exists():
            scratch = path.with_suffix(".tmp.npy")
            np.save(scratch, make())
            scratch.replace(path)
        wait_for_all(name)
        return np.load(path)

    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self._folder / "checkpoints")

    def log(self, first_step: int, has_events: bool = True) -> MetricsLog:
        return MetricsLog(self._folder, first_step, has_events)

    def weights(self, which: str) -> Weights:
        with contextlib.closing(Reader(self._folder / "checkpoints")) as reader:
            return reader.weights(which)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return read_metrics(self._folder)


class Memory:
    """Keep the best and the last state of a run, and its rows, in memory.

    Attributes:
      rows: the rows that a run in a folder writes to `metrics.jsonl`.
      last: the last state.
      best: the best one by its score, where one was measured.
    """

    workdir: Path | None = None

    def __init__(self):
        self.rows: list[dict[str, Any]] = []
        self.last: Saved | None = None
        self.best: Saved | None = None

    def claimed(self, config: Mapping[str, Any]) -> contextlib.AbstractContextManager:
        del config
        return contextlib.nullcontext()

    def part(self, name: str) -> "Memory":
        """Return another place in memory: of a stage nothing is kept."""
        del name
        return Memory()

    def kept(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Make the array: a run in memory is not resumed."""
        del name
        return make()

    def checkpoints(self) -> "Memory":
        return self

    def log(self, first_step: int, has_events: bool = True) -> "Memory":
        del first_step, has_events
        return self

    def restore_latest(self, *args: Any) -> None:
        """Return None: a run in memory always starts at step 0."""
        del args

    def save(self, step: int, weights: Tree, rest: Tree, info: dict[str, Any], score: float | None = None) -> None:
        """Keep a state of host arrays as the last one, and as the best one unless its score is above the best."""
        self.last = Saved(step, weights, rest, info, score)
        if score is not None and (self.best is None or self.best.score is None or score <= self.best.score):
            self.best = self.last

    def weights(self, which: str) -> Weights:
        """Return the "best" or the "last" state."""
        found = {"best": self.best or self.last, "last": self.last}.get(which)
        if found is None:
            raise UserError(f"A run in memory keeps its best and its last state, and has no checkpoint '{which}'.")
        return found.checkpoint

    def row(self, step: int, epoch: float, split: str, metrics: Mapping[str, float]) -> None:
        self.rows.append(row_of(step, epoch, split, metrics))

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """Drop a picture: nothing shows it."""

    def wait(self) -> None:
        """Do nothing: a state is kept at once."""

    def close(self) -> None:
        """Do nothing."""


def write_run(memory: Memory, folder: Path, config: Mapping[str, Any]) -> None:
    """Write a run in memory into a folder, as if it had been trained there.

    Raises:
      UserError: the folder holds another run or other files, or cannot be written.
    """
    if (folder / "config.json").exists():
        changed(folder, config, PLACES)  # a run in memory is not the going on of another
    else:
        require_empty(folder)
    saved = {each.step: each for each in (memory.best, memory.last) if each is not None}
    newest = max((int(p.name) for p in (folder / "checkpoints").glob("*") if is_step(p.name)), default=None)
    if newest is not None and not (newest in saved and holds(folder, *saved[newest].checkpoint)):
        raise UserError(
            f"'{folder}' holds another run: its settings are the same, but its data or its weights differ. Nothing was "
            "changed there. Give a new folder."
        )
    disk = Disk(folder)
    with disk.claimed(config):
        with contextlib.closing(disk.checkpoints()) as checkpoints:
            for step in sorted(saved):
                checkpoints.save(*saved[step])
        with contextlib.closing(disk.log(0)) as log:
            for row in memory.rows:
                log.write(row)


def is_there(source: Path, folder: Path, checkpoint: Weights) -> bool:
    """Return whether a folder is that of a run, or a copy with this checkpoint."""
    return folder.resolve() == source.resolve() or holds(folder, *checkpoint)


def copy_run(source: Path, folder: Path) -> None:
    """Copy the folder of a run; into itself is nothing to do.

    Raises:
      UserError: the new folder is not empty.
    """
    if folder.resolve() == source.resolve():
        return
    require_empty(folder)
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".lock"))


def require_empty(folder: Path) -> None:
    """Raise UserError for a file, or a folder that is not empty: the files of a run would be scattered among others."""
    require_folder(folder)
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"'{folder}' is not empty, and holds no run of these settings: give a new folder.")


def holds(folder: Path, step: int, weights: Tree, info: Mapping[str, Any]) -> bool:
    """Return whether a folder has this checkpoint: the step, with the same weights, trained on the same data."""
    try:
        there = read_info(folder / "checkpoints" / str(step))
    except (OSError, ValueError):
        return False
    same_data = there.get("data_checksum") == info.get("data_checksum")
    return same_data and there["checksums"].get("weights") == checksum(weights)
