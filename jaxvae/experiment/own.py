"""Find parts from outside the package by dotted name: `module:function` instead of a built-in name.

Nothing here imports a module. A name is looked up in the modules that are already imported, and the function's return
annotation must be a part. So names in the config of a stranger's run cannot run code.
"""

import functools
import inspect
import re
import sys
import traceback
import typing
from collections.abc import Callable, Mapping
from typing import Any

from jaxvae.common.errors import UserError

DOTTED = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*):([^\W\d]\w*)")
# Settings beside `name` that can hold dotted names.
LISTS = ("evaluate.metrics", "evaluate.outliers", "objective.discriminator.network")


def is_own(name: Any) -> bool:
    """Return whether a name is dotted, `module:function`; `mnist:3.0.1` is not."""
    return isinstance(name, str) and DOTTED.fullmatch(name) is not None


def short(name: str) -> str:
    """Shorten a dotted name to its function, for files and titles; other names are unchanged."""
    return name.rpartition(":")[2] if is_own(name) else name


def names(config: Mapping[str, Any]) -> set[str]:
    """Return all dotted names in the sections of a config."""

    def walk(node: Mapping[str, Any], path: str):
        for key, value in node.items():
            at = f"{path}.{key}"
            if hasattr(value, "items"):
                yield from walk(value, at)
            elif (key == "name" and path) or at.removeprefix(".") in LISTS:
                yield from str(value).replace(" ", "").split(",")

    return {name for name in walk(config, "") if is_own(name)}


def find(kind: str, name: str, returns: Mapping[str, Any]) -> Callable:
    """Return the function of a dotted name, from a module that is already imported.

    Args:
      kind: kind of part, for messages.
      name: `module:function`.
      returns: the allowed types of a part of this kind, by display name; the function's return annotation must be one
        of them.

    Returns:
      The function, with its evaluated signature. It checks the type of its result.

    Raises:
      UserError: the module is not imported or has no such function, or its annotation is another type. The returned
        function raises it too, for a result of another type.
    """
    module, _, function = name.partition(":")
    if module.partition(".")[0] == "jaxvae":
        raise UserError(f"The {kind} '{name}' is in jaxvae itself, whose parts have plain names: give {function}.")
    if sys.modules.get(module) is None:
        raise UserError(
            f"The {kind} '{name}' is in the module '{module}', which is not imported: jaxvae never imports a module "
            f"because a run's folder names it. If you trust '{module}': in Python, write `import {module}` first; on "
            f"the command line give --import={module}, or the --config of the run."
        )
    found = vars(sys.modules[module]).get(function)
    if not callable(found):
        where = getattr(sys.modules[module], "__file__", None) or "built into Python"
        what = "is not a function" if function in vars(sys.modules[module]) else "does not exist"
        hint = ""
        if module == "__main__":
            hint = (
                " It was defined in another script or notebook: define it here too, or hand it over, "
                f"jaxvae.load(folder, {kind}={function})."
            )
        raise UserError(
            f"The {kind} '{name}' cannot be used: '{function}' {what} in the module '{module}' ({where}).{hint}"
        )
    return checked(kind, name, found, returns)


def checked(kind: str, name: str, found: Callable, returns: Mapping[str, Any]) -> Callable:
    """Return a user's function with its evaluated signature and a check of its result; see `find`."""
    wanted = " | ".join(returns)
    try:
        signature = inspect.signature(found, eval_str=True)
    except (NameError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"The {kind} '{name}' cannot be used: its signature cannot be read ({error}).") from error
    if not any(_fits(signature.return_annotation, each) for each in returns.values()):
        said = signature.return_annotation
        said = "no annotation" if said is signature.empty else f"the annotation {_shown(said)}"
        raise UserError(
            f"The {kind} '{name}' needs a return annotation of its type, but has {said}: write "
            f"`def {short(name)}(...) -> {wanted}`."
        )

    @functools.wraps(found)
    def build(*args, **options):
        try:
            signature.bind(*args, **options)
        except TypeError as error:
            raise UserError(f"The {kind} '{name}' cannot be built: {error}. See docs/own_parts.md.") from error
        made = found(*args, **options)
        if not any(isinstance(made, typing.get_origin(each) or each) for each in returns.values()):
            raise UserError(
                f"The {kind} '{name}' returned an object of type {type(made).__name__}; it must return {wanted}."
            )
        return made

    build.__signature__ = signature  # pyright: ignore[reportAttributeAccessIssue]
    return build


def failure(error: BaseException, own: set[str]) -> str | None:
    """Describe an error raised by the user's own code in one line: place, type, message; None for other errors.

    Args:
      error: with its traceback.
      own: dotted names; all code of their packages is the user's own.
    """
    packages = {name.partition(":")[0].partition(".")[0] for name in own}
    frames = [(frame.f_globals.get("__name__", "").partition(".")[0], frame, line)
              for frame, line in traceback.walk_tb(error.__traceback__)]  # fmt: skip
    last = next((each for each in reversed(frames) if each[0] in packages | {"jaxvae"}), None)
    if last is None or last[0] not in packages:
        return None
    code = last[1].f_code
    return f"{code.co_filename}, line {last[2]}, in {code.co_name}: {type(error).__name__}: {error}"


def _fits(annotation: Any, wanted: Any) -> bool:
    both = isinstance(annotation, type) and isinstance(wanted, type)
    return annotation == wanted or (both and issubclass(annotation, wanted))


def _shown(kind: Any) -> str:
    plain = isinstance(kind, type) and typing.get_origin(kind) is None
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.") if plain else str(kind)
