"""Load config files, by path or by the name of a config installed with jaxvae."""

import difflib
import runpy
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxvae.common.errors import UserError
from jaxvae.experiment.own import short

PACKAGE = Path(__file__).parents[1]


def installed() -> dict[str, Path]:
    """Return `{name: file}` of the configs that come with jaxvae: inside a wheel's package, beside it in a checkout."""
    inside = PACKAGE / "configs"
    folder = inside if inside.is_dir() else PACKAGE.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.py"))}


def load(given: str) -> dict[str, Any]:
    """Load the config `NAME[:DATASET]` or `FILE.py[:DATASET]`, without overrides.

    Raises:
      UserError: an unknown name, a missing file, or a file that does not load.
    """
    name, _, dataset = given.partition(":")
    path = _find(name)
    try:
        config = runpy.run_path(str(path))["get_config"](*([dataset] if dataset else []))
        if not isinstance(config, ConfigDict):
            raise TypeError(f"get_config gave {config!r}, not a ConfigDict")
        return config.to_dict()
    except (Exception, SystemExit) as error:  # any exception is a mistake in the file
        raise UserError(f"The config file '{path}' does not load: {type(error).__name__}: {error}") from error


def named_after(name: str, before: str, data: str) -> str:
    """Return the name of a run, `name` of the data set `before`, on another data set."""
    return f"{name.removesuffix(short(before)).removesuffix('-')}-{short(data)}"


def listing() -> str:
    """Return one sentence with the names of all installed configs."""
    return f"Configs that come with jaxvae: {', '.join(installed())}; give your own file by its path."


def _find(name: str) -> Path:
    if Path(name).is_file():
        return Path(name)
    if name in (known := installed()):
        return known[name]
    near = difflib.get_close_matches(Path(name).stem, known, n=1)
    hint = f" Did you mean --config={near[0]}?" if near else ""
    kind = "file" if Path(name).suffix else "with the name or path"
    raise UserError(f"The config {kind} '{name}' does not exist.{hint} {listing()}")
