"""Claim, lock and read the folder of a run."""

import fcntl
import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from jaxvae.common.errors import UserError
from jaxvae.common.files import read_json, require_regular
from jaxvae.experiment.plain import completed, flatten, load_config

# Settings of one machine, paths, reading and the format of figures, which may differ when a run is resumed.
MACHINE = {"data.data_dir", "data.cache_dir", "data.stream", "data.workers", "figures.format"}


def claim(workdir: Path, config: Mapping[str, Any], write: bool = True) -> None:
    """Create the folder and write `config.json`, unless it holds another run. Every host checks; one writes.

    Raises:
      UserError: the folder holds a run with a different config; the message lists the differing keys.
    """
    config = json.loads(json.dumps(config))
    if (workdir / "config.json").exists():
        old, new = flatten(load_config(workdir)), flatten(completed(config))
        keys = sorted(key for key in (old.keys() | new.keys()) - MACHINE if old.get(key) != new.get(key))
        if keys:
            lines = "; ".join(f"{key}: {old.get(key)!r} there, {new.get(key)!r} now" for key in keys)
            raise UserError(
                f"'{workdir}' holds a run with a different config ({lines}). Nothing was changed. Give another "
                "--workdir, or the same settings to resume that run."
            )
    elif write:
        workdir.mkdir(parents=True, exist_ok=True)
        write_json(workdir / "config.json", config)


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
