"""Read files that may be untrusted, and remove empty folders."""

import json
from pathlib import Path
from typing import Any

from jaxvae.common.errors import UserError


def check_regular(path: Path) -> None:
    """Raise ValueError where `path` exists and is not a regular file: opening a named pipe would wait for ever."""
    if path.exists() and not path.is_file():
        raise ValueError(f"{path.name} is not a regular file")


def require_regular(path: Path) -> None:
    """Raise UserError where `path`, in the folder of a run, exists and is not a regular file."""
    try:
        check_regular(path)
    except ValueError as error:
        raise UserError(f"'{path}' is not a regular file. Move it away, or give another --workdir.") from error


def remove_if_empty(folder: Path) -> None:
    """Remove a folder that was made for files of which none was written."""
    if not any(folder.iterdir()):
        folder.rmdir()


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
      OSError: the file does not exist or cannot be opened.
      ValueError: the file is not regular, not UTF-8 or not JSON.
    """
    check_regular(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError(f"{path.name} is nested too deeply") from error
