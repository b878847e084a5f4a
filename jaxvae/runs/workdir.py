"""Claim, lock and read the folder of a run."""

import fcntl
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from jaxvae.common.errors import UserError
from jaxvae.common.files import read_json, require_regular
from jaxvae.experiment.changes import GOING_ON, Changes, changes, may_change
from jaxvae.experiment.plain import load_config


def claim(workdir: Path, config: Mapping[str, Any], write: bool = True) -> None:
    """Create the folder and write `config.json`, unless it holds a run. Every host checks; one writes.

    Raises:
      UserError: the folder is a file, or see `changed`.
    """
    require_folder(workdir)
    if (workdir / "config.json").exists():
        changed(workdir, config)
    elif write:
        workdir.mkdir(parents=True, exist_ok=True)
        write_json(workdir / "config.json", config)


def require_folder(workdir: Path) -> None:
    """Raise UserError where `workdir`, or a folder that it is in, is a file."""
    if blocking := next((each for each in (workdir, *workdir.parents) if each.exists() and not each.is_dir()), None):
        raise UserError(f"'{blocking}' is a file, so that '{workdir}' cannot be the folder of a run: give a folder.")


def changed(workdir: Path, config: Mapping[str, Any], allowed: Sequence[str] = GOING_ON) -> Changes:
    """Return the settings that differ from those of the run in `workdir`, all of them in `allowed`.

    Raises:
      UserError: the folder holds no run, or a run whose config differs in other settings; the message lists these, and
        those that may change.
    """
    found = changes(load_config(workdir), json.loads(json.dumps(config)))
    if refused := {key: pair for key, pair in found.items() if not may_change(key, allowed)}:
        lines = "; ".join(f"{key}: {old!r} there, {new!r} now" for key, (old, new) in refused.items())
        raise UserError(
            f"'{workdir}' holds a run with a different config ({lines}). Nothing was changed. Give another --workdir, "
            f"or the same settings to resume that run. Of a run, these may change: {', '.join(allowed)}."
        )
    return found


def lock(workdir: Path) -> IO:
    """Lock the folder for this process, until the returned file is closed or the process ends in any way.

    Raises:
      UserError: another process trains there, or the lock is not a regular file.
    """
    path = workdir / ".lock"
    require_regular(path)
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise UserError(
            f"Another process is training in '{workdir}'. Wait for it, or give another --workdir."
        ) from error
    return file


def write_json(path: Path, value: Any) -> None:
    """Write a file atomically: it is either complete or absent."""
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n")
    scratch.replace(path)


def read_results(workdir: Path) -> dict[str, Any]:
    """Read `results.json`; return `{}` where it is missing or unreadable."""
    try:
        found = read_json(workdir / "results.json")
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}
