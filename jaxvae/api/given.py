"""Take settings as they are given in Python: NumPy's scalars, dictionaries, functions and built parts."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxvae.experiment.defaults import INNER, PARTS, named_by, shared
from jaxvae.experiment.objects import described
from jaxvae.experiment.parts import PARTS as BUILDERS


def as_settings(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Convert settings as they are given in Python: `(changes of a config, built parts by path)`.

    A part is a name, a dictionary of its name and options, a function, a `functools.partial` of one, or a built part.

    Raises:
      UserError: a function that cannot be found again by its name.
    """
    changes, objects = {}, {}
    for key, value in given.items():
        part = named_by(key)
        if shared(key) in (*PARTS, *INNER) and isinstance(value, Mapping):
            more, built = as_settings({f"{key}.{option}": each for option, each in value.items()})
            changes, objects = {**changes, **more}, {**objects, **built}
        elif part in INNER and callable(value):
            spec, _ = described(key, value, BUILDERS[part.rpartition(".")[2]])
            changes |= {key: spec.pop("name"), **{f"{part}.{option}": each for option, each in spec.items()}}
        elif shared(key) in PARTS and not isinstance(value, str):
            spec, built = described(key, value, BUILDERS.get(key.rpartition(".")[2], {}))
            changes |= {f"{key}.{option}": each for option, each in spec.items()}
            objects |= {} if built is None else {key: built}
        else:
            changes[key] = _plain(value)
    return changes, objects


def _plain(value: Any) -> Any:
    """Convert NumPy's scalars, lists, and dictionaries (to "name=value" entries), as in a config."""
    if isinstance(value, Mapping):
        return tuple(f"{name}={each}" for name, each in value.items())
    if isinstance(value, np.generic):
        return value.item()
    return tuple(value) if isinstance(value, list) else value
