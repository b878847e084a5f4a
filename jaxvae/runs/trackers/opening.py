"""Open the trackers of a run, and keep the run from failing with them."""

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxvae.common.errors import unknown
from jaxvae.common.optional import require
from jaxvae.experiment.plain import flatten
from jaxvae.runs.trackers.base import Tracker
from jaxvae.runs.trackers.services import MLflow, WandB
from jaxvae.runs.workdir import read_results, write_json

TENSORBOARD = "tensorboard"  # which `log.MetricsLog` writes beside its rows
SERVICES: dict[str, Callable[[Path, Mapping[str, Any], str], Any]] = {"wandb": WandB, "mlflow": MLflow}
RUN_IDS = "trackers.json"


class Trackers:
    """All trackers of a run as one. A tracker that raises is left out from then on, with a note on stderr."""

    def __init__(self, opened: Mapping[str, Tracker]):
        self._opened = dict(opened)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._each(lambda tracker: tracker.scalars(step, values))

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        self._each(lambda tracker: tracker.image(step, name, picture))

    def results(self, values: Mapping[str, float], files: Sequence[Path]) -> None:
        self._each(lambda tracker: tracker.results(values, files))

    def close(self) -> None:
        self._each(lambda tracker: tracker.close())

    def _each(self, tell: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._opened.items()):
            with _noted(name) as worked:
                tell(tracker)
                worked.append(True)
            if not worked:
                del self._opened[name]


def asked(config: Mapping[str, Any]) -> list[str]:
    """Return the names in `train.trackers`."""
    return list(dict.fromkeys(name for name in config["train"]["trackers"].replace(" ", "").split(",") if name))


def check(config: Mapping[str, Any]) -> None:
    """Check, before training, that the trackers in `train.trackers` exist and are installed.

    Raises:
      UserError: an unknown name, or a missing package, with the command that installs it.
    """
    for name in asked(config):
        if name not in (TENSORBOARD, *SERVICES):
            raise unknown("tracker", name, (TENSORBOARD, *SERVICES))
        if name in SERVICES:
            require(name)


@contextlib.contextmanager
def opened(config: Mapping[str, Any], workdir: Path | None) -> Iterator[Trackers]:
    """Open the trackers of a run, apart from TensorBoard, on the first host; close them at the end.

    The run's own folder keeps their run ids in `trackers.json`, so that a run that goes on is one run there too.
    """
    services = [name for name in asked(config) if name in SERVICES] if jax.process_index() == 0 else []
    ids, found = _run_ids(workdir) if services else {}, {}
    for name in services:
        with _noted(name):
            found[name] = SERVICES[name](workdir or Path(), config, str(ids.get(name, "")))
    if workdir is not None and found:
        write_json(workdir / RUN_IDS, ids | {name: tracker.run_id for name, tracker in found.items()})
    trackers = Trackers(found)
    try:
        yield trackers
    finally:
        trackers.close()


def tell_results(trackers: Trackers, workdir: Path | None) -> None:
    """Give trackers the numbers of `results.json` and the files in `figures/`, where the run has a folder."""
    results = {} if workdir is None else read_results(workdir)
    if workdir is None or not results:
        return
    tables = {"test": results.get("test", {}), **results.get("metrics", {})}
    numbers = {name.replace(".", "/"): value for name, value in flatten(tables).items() if _is_number(value)}
    trackers.results(numbers, sorted((workdir / "figures").glob("*.png")))


def _run_ids(workdir: Path | None) -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads((workdir / RUN_IDS).read_text(encoding="utf-8")) if workdir else {}
        return found if isinstance(found, dict) else {}
    return {}


@contextlib.contextmanager
def _noted(name: str) -> Iterator[list[bool]]:
    """Turn any exception of a tracker into a note on stderr."""
    try:
        yield []
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"note: the tracker '{name}' failed ({said}). The run goes on without it.", file=sys.stderr)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
