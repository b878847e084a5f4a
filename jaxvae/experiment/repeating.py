"""Find out how to start a run again: the config that it starts from, and the settings that differ from it."""

import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxvae.data.incoming import IN_MEMORY
from jaxvae.experiment import configs, own
from jaxvae.experiment.defaults import is_filled_in, is_option, named_by, owner, sized_for_own
from jaxvae.experiment.objects import GIVEN
from jaxvae.experiment.plain import flatten, with_tuples


class Recipe(NamedTuple):
    """How to start a run.

    Attributes:
      config: the value of `--config`, NAME or NAME:DATASET of a config that comes with jaxvae.
      data: the value of `data.path`, for the user's own file; IN_MEMORY for arrays; "" for data with a name.
      settings: the other settings that differ from this config, `{"network": "conv", "network.channels": (8,), ...}`.
      modules: the user's own modules that the settings name.
    """

    config: str
    data: str
    settings: dict[str, Any]
    modules: tuple[str, ...] = ()

    @property
    def objects(self) -> list[str]:
        """The settings whose parts were given as built Python objects, which only the user can give again."""
        return [key for key, value in self.settings.items() if value == GIVEN]


def recipe(config: Mapping[str, Any]) -> Recipe | None:
    """Return the recipe for the config of a run, after the config of its name, else the one with fewest settings.

    None where no config will do, since overrides cannot remove an option that all of them have.
    """
    config = with_tuples(config)
    names = list(configs.installed())
    for some in ([name for name in names if config["name"].startswith(f"{name}-")], names):
        found = [one for name in some if (one := _after(name, config)) is not None]
        if found:
            return min(found, key=lambda one: len(one.settings))
    return None


def differing(base: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the flat settings that turn the config `base` into `config`, names of parts first; None if none do.

    A new name of a part removes the options of the part before, see `api.settings.spelled`; nothing removes a single
    option. Settings that `config` lacks, since they are newer, keep their values.
    """
    old, new = flatten(base), {key: value for key, value in flatten(config).items() if not is_filled_in(key)}
    parts = {key: part for key in new if (part := named_by(key))}
    switched = {part for key, part in parts.items() if new[key] != old.get(key)}
    dropped = [key for key in old if is_option(key) and switched & {owner(key), key.rpartition(".")[0]}]
    old = {key: value for key, value in old.items() if key not in dropped}
    if any(map(is_option, old.keys() - new.keys())):
        return None
    found = {parts.get(key, key): value for key, value in new.items() if key not in old or old[key] != value}
    return {key: found[key] for key in sorted(found, key=lambda key: key not in switched)}


def command(how: Recipe, workdir: str) -> str | None:
    """Return the command line that starts the run in another folder, quoted for a shell; None for data in memory."""
    if how.data == IN_MEMORY or how.objects:
        return None
    given = {"config": how.config} | ({"config.data.path": how.data} if how.data else {})
    given |= {f"config.{key}": value for key, value in how.settings.items()} | {"workdir": workdir}
    return " \\\n  ".join(["jaxvae", *(f"--{key}={shlex.quote(str(value))}" for key, value in given.items())])


def call(how: Recipe) -> str:
    """Return the call of `jaxvae.fit` that makes the run; `...` stands for what the user gave as an object."""
    data = ["x"] if how.data == IN_MEMORY else [repr(how.data)] if how.data else []
    rows = [f"    {key!r}: {'...' if key in how.objects else repr(value)},\n" for key, value in how.settings.items()]
    settings = [f"settings={{\n{''.join(rows)}}}"] if rows else []
    imports = "".join(f"import {module}\n" for module in ("jaxvae", *how.modules))
    return f"{imports}\nrun = jaxvae.fit({', '.join([repr(how.config), *data, *settings])})"


def _after(name: str, config: Mapping[str, Any]) -> Recipe | None:
    data = config["data"]
    path = data["path"] or (IN_MEMORY if data["name"] == IN_MEMORY else "")
    base, start = configs.load(name), name
    if path:
        base = sized_for_own(base)
        base["name"] = configs.named_after(base["name"], base["data"]["name"], data["name"])
        base["data"] |= {"name": data["name"], "path": data["path"]}
    elif data["name"] != base["data"]["name"]:
        start = f"{name}:{data['name']}"
        base = configs.load(start)
    found = differing(base, config)
    modules = sorted({one.partition(":")[0] for one in own.names(config)})
    return None if found is None else Recipe(start, path, found, tuple(modules))
