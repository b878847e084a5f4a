"""Parts given as Python objects: functions are saved by their names, built parts are handed over again on loading."""

import functools
import sys
from collections.abc import Mapping
from typing import Any

from jaxvae.common.errors import UserError
from jaxvae.experiment.own import is_own

GIVEN = "given"  # name in config.json of a part that was given built, which no file can hold


def described(path: str, value: Any, known: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Describe a part given as an object in settings: `(settings of the part, the object if it cannot be saved)`.

    Args:
      path: of the part, "model.posterior" for example.
      value: a builder's function, `functools.partial` of one, which sets its options, or a built part.
      known: built-in builders of this kind, by name.

    Raises:
      UserError: a function that cannot be found again by its name.
    """
    if isinstance(value, functools.partial):
        if value.args:
            raise UserError(f"{path} is a partial of {value.func} with positional arguments: name them all.")
        return {**described(path, value.func, known)[0], **value.keywords}, None
    if not hasattr(value, "__qualname__"):
        return {"name": GIVEN}, value
    for name, builder in known.items():
        if builder is value:
            return {"name": name}, None
    name = f"{value.__module__}:{value.__qualname__}"
    if not is_own(name) or vars(sys.modules[value.__module__]).get(value.__qualname__) is not value:
        raise UserError(
            f"{path} is the function '{value.__qualname__}' of '{value.__module__}', which cannot be found again by "
            "its name: define it at the top of a module or notebook, or give the part that it builds."
        )
    return {"name": name}, None


def with_objects(config: Mapping[str, Any], objects: Mapping[str, Any]) -> dict[str, Any]:
    """Put built parts, `{"model.posterior": ...}`, into a config instead of their names."""

    def put(node: Mapping[str, Any], keys: list[str], value: Any) -> dict[str, Any]:
        first, *rest = keys
        return {**node, first: put(node[first], rest, value) if rest else {**node[first], "name": value}}

    out = dict(config)
    for path, value in objects.items():
        out = put(out, path.split("."), value)
    return out
