"""Parse the command line into a complete config: load the file, apply overrides, check."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from jaxvae.api.settings import check, spelled
from jaxvae.api.suggestions import nearest_key
from jaxvae.common.errors import UserError, unknown
from jaxvae.experiment import configs, defaults
from jaxvae.experiment.defaults import SETTINGS
from jaxvae.experiment.plain import load_config, with_tuples

HELP = frozenset({"--help", "-h", "-help"})


def parse(argv: list[str], values: flags.FlagValues) -> ConfigDict:
    """Parse `argv` into `values`, and return the complete config with types and ranges checked.

    `--config=NAME[:DATASET]` or `--config=FILE.py[:DATASET]` gives a config; without it the config of the run in
    `--workdir` is used. `--config.network=conv` is short for `--config.network.name=conv`, for every part.

    Raises:
      UserError: an unknown flag or config key, a value of the wrong type or out of its range, or a config file that
        does not load.
    """
    argv = [argv[0], *_joined(argv[1:])]
    is_given = bool(_value(argv, "config"))
    config = _load(argv)
    was = copy.deepcopy(config)
    argv = [_spell_out(arg, config) if arg.startswith("--config.") else arg for arg in argv if arg[:9] != "--config="]
    config_flags.DEFINE_config_dict(
        "config", ConfigDict(config), lock_config=False, accept_new_attributes=True, flag_values=values, sys_argv=argv
    )
    try:
        rest = values(argv)[1:]
    except flags.UnrecognizedFlagError as error:
        raise _unknown_flag(error, [name for name in values if "." not in name]) from error
    except (flags.Error, TypeError, ValueError) as error:
        raise UserError(f"{error}. See --help for all flags and settings.") from error
    if rest:
        raise UserError(f"'{rest[0]}' is not a flag; settings are given as --config.KEY=VALUE. See --help.")
    config = values.config.to_dict()
    check(config)
    if is_given:  # a run keeps its name, wherever its data is
        _name_after_data(config, was)
    return ConfigDict(config)


def words(argv: list[str], values: flags.FlagValues) -> list[str]:
    """Parse the flags of a command such as `jaxvae compare`, and return its other words.

    Args:
      argv: the name of the program, the command, its words and flags in any order.
      values: the defined flags, which get their values.

    Raises:
      UserError: an unknown flag, or a value that it does not take.
    """
    values.set_gnu_getopt(True)
    see = f"See jaxvae {argv[1]} --help."
    try:
        return values(argv[1:])[1:]
    except flags.UnrecognizedFlagError as error:
        raise UserError(f"{unknown('flag', error.flagname, values)} {see}") from error
    except flags.Error as error:
        raise UserError(f"{error}. {see}") from error


def _unknown_flag(error: flags.UnrecognizedFlagError, known: list[str]) -> UserError:
    """Make the error for an unknown flag, which is often a setting without its `--config.SECTION`."""
    name, value = error.flagname, error.flagvalue.partition("=")[2]
    setting = nearest_key(name, SETTINGS)
    if setting and not nearest_key(name, known):
        hint = f"Unknown flag '{name}'. Did you mean --config.{setting}={value or 'VALUE'}?"
        return UserError(f"{hint} Settings are given as --config.KEY=VALUE. See --help.")
    return UserError(f"{unknown('flag', name, known)} Settings are given as --config.KEY=VALUE. See --help.")


def _name_after_data(config: dict[str, Any], was: Mapping[str, Any]) -> None:
    """Name the run after its data where the command line changes the data and not the name."""
    data, before = config["data"], was["data"]
    changed = data["path"] and data["path"] != before["path"]
    name = Path(data["path"]).stem if changed else data["name"]
    if name != before["name"]:
        data["name"] = name
        if config["name"] == was["name"]:
            config["name"] = configs.named_after(was["name"], before["name"], name)


def _load(argv: list[str]) -> dict[str, Any]:
    """Load the config given by `--config`, or that of the run in `--workdir`, without overrides."""
    if name := _value(argv, "config"):
        config, is_own = configs.load(name), _value(argv, "config.data.path")
        return defaults.sized_for_own(config) if is_own else config
    workdir = _value(argv, "workdir")
    if workdir and _value(argv, "mode") in ("", "train") and not (Path(workdir) / "config.json").exists():
        what = "holds no run" if Path(workdir).exists() else "does not exist"
        raise UserError(
            f"'{workdir}' {what}, so that there is nothing to go on with: give the --workdir of a run, or a "
            "config too, --config=vae for example, to train a new run there."
        )
    if not workdir:
        raise UserError(
            "Give a config: --config=vae, or --config=configs/vae.py; or a --workdir with a run, which then goes on. "
            f"{configs.listing()}"
        )
    return with_tuples(load_config(workdir))


def _value(argv: list[str], flag: str) -> str:
    """Return the value of `--flag=value` on a command line; "" without it."""
    return next((arg.partition("=")[2] for arg in argv[1:] if arg.startswith(f"--{flag}=")), "")


def _spell_out(arg: str, config: dict[str, Any]) -> str:
    """Expand the short form of a part's name in one argument, and of a list of names."""
    path, equals, value = arg.removeprefix("--config.").partition("=")
    path = spelled(path, value, config)
    return f"--config.{path}{equals}{_listed(path, value)}"


def _listed(path: str, value: str) -> str:
    """Write "a,b" as the tuple ('a', 'b') for a setting that is a list of names; other values unchanged."""
    is_list = path in SETTINGS and SETTINGS[path].default == ()
    if not is_list or "," not in value or value.strip()[0] in "([\"'":
        return value
    return repr(tuple(name for name in map(str.strip, value.split(",")) if name))


def _joined(argv: list[str]) -> list[str]:
    """Rewrite `--flag value` as `--flag=value`, the one spelling handled later; keep the last of repeated flags."""
    out: list[str] = []
    for arg in argv:
        if arg.startswith("-") and not arg.startswith("--") and arg[1:2].isalpha():
            arg = f"-{arg}"
        if out and out[-1].startswith("--") and "=" not in out[-1] and not arg.startswith("--"):
            out[-1] += f"={arg}"
        else:
            out.append(arg)
    return list({arg.partition("=")[0] if arg.startswith("--") else arg: arg for arg in out}.values())
