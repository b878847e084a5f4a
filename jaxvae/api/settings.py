"""Change and check the settings of a config, with the short forms of the names of parts."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from jaxvae.api.suggestions import unknown_key
from jaxvae.common.errors import UserError
from jaxvae.experiment.checks import check_metrics, check_ranges
from jaxvae.experiment.defaults import INNER, KEYS, PARTS, Part, is_option, named_by, shared
from jaxvae.experiment.plain import flatten


def spelled(path: str, value: Any, config: dict[str, Any]) -> str:
    """Expand the short form of a part's name, `network` to `network.name`.

    Where this selects another part, the old part's options are deleted from `config`.

    Raises:
      UserError: there is no such setting.
    """
    if shared(path) in PARTS or INNER.get(path):
        path += f".{INNER.get(path, 'name')}"
    if shared(path) not in KEYS and not is_option(path):
        raise unknown_key(path, flatten(config))
    part = path.rpartition(".")[0]
    is_new = path != shared(path) or part in INNER  # the section of a group, or of options of a part
    if (is_new and shared(part) in (*PARTS, *INNER)) or named_by(path):
        node = config
        for name in part.split("."):
            if is_new and name not in node:  # ml_collections needs an existing section
                node[name] = {}
            node = node[name]
        if named_by(path) and node.get(path.rpartition(".")[2]) != value:
            for option in [key for key in node if is_option(f"{part}.{key}") and node[key] != {}]:  # {}: is new
                del node[option]
    return path


def changed(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plain config with some settings changed: `{"kl.beta": 4.0, "network": "conv"}`.

    Raises:
      UserError: there is no such setting, or a value is an array or a data frame.
    """
    made = ConfigDict(config).to_dict()  # a copy in depth
    # Names first: a name deletes the options of the part before.
    for key, value in sorted(
        changes.items(), key=lambda item: not (shared(item[0]) in (*PARTS, *INNER) or named_by(item[0]))
    ):
        *sections, last = spelled(key, value, made).split(".")
        if getattr(value, "shape", ()):
            raise UserError(
                f"{key} is given data, of type {type(value).__name__}; settings are numbers, text and lists of these. "
                "Write the data to a file, and give its path."
            )
        node = made
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = value
    return made


def check(config: Mapping[str, Any]) -> None:
    """Check that a config has exactly the known keys, with values of the right type and in range.

    Raises:
      UserError: the first mistake.
    """
    given = flatten(config)
    for key in sorted(given):
        if shared(key) not in KEYS and not is_option(key):
            raise unknown_key(key, given)
    if missing := sorted(KEYS.keys() - given.keys()):
        raise UserError(
            f"The config lacks {', '.join(missing)}. Start it from jaxvae.experiment.defaults.get_config, which gives "
            "every key."
        )
    for key in filter(lambda key: shared(key) in KEYS, given):
        _check_type(key, given[key])
    check_ranges(config)
    check_metrics(config)


def check_asked(given: Mapping[str, Any]) -> None:
    """Check arguments of a method by the settings whose meaning they have, `{"sample.num": 3}`.

    Raises:
      UserError: a value of another type or out of range.
    """
    for key, value in given.items():
        _check_type(key, value.item() if getattr(value, "shape", None) == () else value)  # a scalar of NumPy
    check_ranges(given)


def _check_type(key: str, value: Any) -> None:
    each = KEYS[shared(key)]
    default = each.default["name"] if isinstance(each, Part) else each.default
    wanted = (int, float) if isinstance(default, float) else type(default)
    if not isinstance(value, wanted) or isinstance(value, bool) != isinstance(default, bool):
        raise UserError(f"{key} is {value!r}; it must be of type {type(default).__name__}.")
