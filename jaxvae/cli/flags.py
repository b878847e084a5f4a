"""From the command line to a complete config: the file, then the overrides, then the checks."""

import math
import runpy
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from jaxvae.common.errors import UserError, unknown
from jaxvae.experiment import defaults
from jaxvae.experiment.own import short
from jaxvae.experiment.plain import flatten

# Settings that choose a part by name; what else stands beside the name are its options, checked when it is built.
PARTS = (
    "model", "model.posterior", "model.prior", "model.likelihood", "network", "objective", "kl", "optimizer",
    "optimizer.schedule", "sample.decoding", "sample.sampler", "tool",
)  # fmt: skip
# Options of every optimiser.
COMMON = ("optimizer.learning_rate", "optimizer.warmup_steps", "optimizer.clip_norm", "optimizer.skip_norm",
          "optimizer.ema_decay", "model.latent_dim")  # fmt: skip


def parse(argv: list[str], values: flags.FlagValues) -> ConfigDict:
    """Parses `argv` into `values` and returns the config, complete and of the right types.

    `--config=FILE.py[:DATASET]` names a config file; without it `--workdir` names a run whose config is taken.
    `--config.network=conv` is short for `--config.network.name=conv`, for every part.

    Raises:
      UserError: an unknown flag or config key, a value of the wrong type, a config file that does not load.
    """
    argv = [argv[0], *_joined(argv[1:])]
    config = _load(argv)
    was = config.copy_and_resolve_references()
    argv = [_spell_out(arg, config) if arg.startswith("--config.") else arg for arg in argv if arg[:9] != "--config="]
    config_flags.DEFINE_config_dict(
        "config", config, lock_config=False, accept_new_attributes=True, flag_values=values, sys_argv=argv
    )
    try:
        rest = values(argv)[1:]
    except flags.UnrecognizedFlagError as error:
        known = [name for name in values if "." not in name]
        raise UserError(f"{unknown('flag', error.flagname, known)} See launch.py --help.") from error
    except (flags.Error, TypeError, ValueError) as error:
        raise UserError(f"{error}. See launch.py --help for what there is.") from error
    if rest:
        raise UserError(f"'{rest[0]}' is no flag; settings are given as --config.KEY=VALUE. See launch.py --help.")
    check(values.config)
    _name_after_data(values.config, was)
    return values.config


def _name_after_data(config: ConfigDict, was: ConfigDict) -> None:
    """Where other data was given than the file's, and no name, the run is called after the data."""
    changed = config.data.path and config.data.path != was.data.path
    name = Path(config.data.path).stem if changed else config.data.name
    if name != was.data.name:
        config.data.name = name
        if config.name == was.name:
            config.name = f"{was.name.removesuffix(short(was.data.name)).removesuffix('-')}-{short(name)}"


def check(config: ConfigDict) -> None:
    """Raises UserError for a key that no config has, for one that is missing, and for a value of the wrong type."""
    known = {key: value for key, value in flatten(defaults.get_config("")).items() if not _is_option(key)}
    given = {key: value for key, value in flatten(config).items() if not _is_option(key)}
    for key in sorted(given.keys() - known.keys()):
        raise unknown("config key", key, known)
    if missing := sorted(known.keys() - given.keys()):
        raise UserError(f"The config lacks {', '.join(missing)}. Start it from configs/base.py, which has every key.")
    for key, value in given.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{key} is {value}; it must be a finite number.")
    for key, default in known.items():
        wanted = (int, float) if isinstance(default, float) else type(default)
        if not isinstance(given[key], wanted) or isinstance(given[key], bool) != isinstance(default, bool):
            raise UserError(f"{key} is {given[key]!r}; it must be of type {type(default).__name__}.")


def _load(argv: list[str]) -> ConfigDict:
    """The config file, or the config of the run in `--workdir`; overrides are not yet applied."""
    given = dict(arg.lstrip("-").partition("=")[::2] for arg in argv[1:])
    if not given.get("config"):
        if not given.get("workdir") or given.get("mode", "train") == "train":
            files = sorted(
                p.name for p in Path(__file__).parent.glob("*.py") if p.stem not in ("__init__", "base", "flags")
            )
            raise UserError(f"Give a config, for example --config=configs/vae.py (in configs/: {', '.join(files)}).")
        from jaxvae.experiment.plain import load_config  # brings JAX: only where it is needed

        # What a finished run is asked with may be newer than the run.
        old, new = _with_tuples(load_config(given["workdir"])), defaults.get_config("").to_dict()
        asked = {section: {**new[section], **old.get(section, {})} for section in ("evaluate", "sample", "tool")}
        return ConfigDict({**old, **asked})
    path, _, dataset = given["config"].partition(":")
    if not Path(path).is_file():
        raise UserError(f"The config file '{path}' does not exist; try --config=configs/vae.py.")
    try:
        config = runpy.run_path(path)["get_config"](*([dataset] if dataset else []))
        if not isinstance(config, ConfigDict):
            raise TypeError(f"get_config gave {config!r}, not a ConfigDict")
        return ConfigDict(config.to_dict())
    except (Exception, SystemExit) as error:  # whatever the file raises is a mistake in the file
        raise UserError(f"The config file '{path}' does not load: {type(error).__name__}: {error}") from error


def _spell_out(arg: str, config: ConfigDict) -> str:
    """Completes the name of a part; where it is another part than the config's, the options of the old one go."""
    path, equals, value = arg.removeprefix("--config.").partition("=")
    if path in PARTS:
        path += ".name"
    known = [key for key in flatten(defaults.get_config("")) if not _is_option(key)]
    if path not in known and not _is_option(path):
        raise unknown("config key", path, known)
    part = path.removesuffix(".name")
    if path.endswith(".name") and part in PARTS:
        node = config
        for name in part.split("."):
            node = node[name]
        if node["name"] != value:
            for option in [key for key in node if _is_option(f"{part}.{key}")]:
                del node[option]
    return f"--config.{path}{equals}{value}"


def _is_option(path: str) -> bool:
    parent, _, last = path.rpartition(".")
    return parent in (*PARTS, "data.options") and last != "name" and path not in (*COMMON, *PARTS)


def _joined(argv: list[str]) -> list[str]:
    """`--flag value` as `--flag=value`, so that the rest need know one spelling only; of equal flags the last."""
    out: list[str] = []
    for arg in argv:
        if arg.startswith("-") and not arg.startswith("--") and arg[1:2].isalpha():
            arg = f"-{arg}"
        if out and out[-1].startswith("--") and "=" not in out[-1] and not arg.startswith("--"):
            out[-1] += f"={arg}"
        else:
            out.append(arg)
    return list({arg.partition("=")[0] if arg.startswith("--") else arg: arg for arg in out}.values())


def _with_tuples(value: Any) -> Any:
    """JSON has lists where a config has tuples."""
    if isinstance(value, dict):
        return {key: _with_tuples(v) for key, v in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value
