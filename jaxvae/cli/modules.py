"""Import modules with the user's own parts: only those that the user names, never those that only a run names."""

import importlib
import re
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxvae.common.errors import UserError
from jaxvae.experiment import own


def trusted(argv: list[str], config: Mapping[str, Any], more: str = "") -> set[str]:
    """Return the modules that the user named: in a config file, on the command line, or by `--import`.

    Args:
      argv: the command line. With a config file, all names in the config count as the user's; with the config of a
        run's folder, only those on the command line itself.
      config: the settings.
      more: the value of `--import`, modules separated by commas.
    """
    names = own.names(config)
    if not any(arg.lstrip("-").partition("=")[0] == "config" for arg in argv[1:]):
        names &= {word for arg in argv[1:] for word in re.split("[=,]", arg)}
    return {name.partition(":")[0] for name in names} | {name for name in more.replace(" ", "").split(",") if name}


def bring(modules: set[str]) -> None:
    """Import modules, installed ones or files in the working directory.

    The working directory comes last on the path, so that no file in it shadows an installed module.

    Raises:
      UserError: there is no such module, or it fails when it is imported.
    """
    here = str(Path.cwd())
    if modules and here not in sys.path:
        sys.path.append(here)
    for module in sorted(modules):
        try:
            importlib.import_module(module)
        except (Exception, SystemExit) as error:  # any exception is a mistake in the module
            missing = error.name if isinstance(error, ModuleNotFoundError) else None
            if missing and f"{module}.".startswith(f"{missing}."):
                raise UserError(
                    f"There is no module '{module}' (no '{missing}'), neither installed nor in the working directory "
                    f"'{here}'. Give module:function, as in my_package.parts:renyi."
                ) from error
            raise UserError(f"The module '{module}' fails when it is imported: {_place(error)}.") from error


def _place(error: BaseException) -> str:
    """Describe an error by its type, message, file and line."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error}"  # the message has file and line
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({frame.filename}, line {frame.lineno})"
