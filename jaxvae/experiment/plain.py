"""Load configs as plain dictionaries, and migrate those of earlier versions."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxvae.common.errors import UserError
from jaxvae.common.files import read_json
from jaxvae.experiment.defaults import KEYS, get_config

# Settings and sections that a run of an earlier version may lack.
ADDED = (
    "data.kind", "data.sequence", "data.options", "data.scaling", "data.label", "data.missing", "data.missing_seed",
    "data.labels", "data.labels_seed", "train.labelled_share", "classifier", "stage", "stage_of", "features",
    "data.context", "data.columns", "data.stream", "data.workers", "model.name", "train.compute_dtype",
    "train.accumulate", "train.remat", "train.start_from", "train.pretrain_epochs", "train.pretrain_masking",
    "train.cluster_epochs", "train.cluster_rounds", "train.freeze", "train.select", "train.patience", "train.trackers",
    "optimizer.ema_decay", "optimizer.skip_norm", "optimizer.every", "optimizer.groups", "context", "evaluate",
    "sample", "encode", "tool", "figures",
)  # fmt: skip


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Migrate a config: what it lacks of ADDED gets its default, settings in existing sections alone."""
    config, default = dict(config), _with_lists(get_config("").to_dict())
    for path in ADDED:
        section, _, key = path.partition(".")
        if not isinstance(default[section], dict):
            config.setdefault(section, default[section])
        elif not key:
            config[section] = {**default[section], **config.get(section, {})}
        elif section in config:
            config[section] = {key: default[section][key], **config[section]}
    return config


def load_config(workdir: str | os.PathLike) -> dict[str, Any]:
    """Load the resolved config of a run, migrated to the current settings.

    Raises:
      UserError: the folder holds no run.
    """
    path = Path(workdir) / "config.json"
    try:
        config = read_json(path)
        if not isinstance(config, dict) or not all(isinstance(config.get(key), dict) for key in ("data", "model")):
            raise ValueError("it is not a config")
        for name in sorted({path.partition(".")[0] for path in ADDED} & config.keys()):
            if not isinstance(config[name], dict) and name not in KEYS:
                raise ValueError(f"its {name} is not a section of settings")
        return completed(config)
    except (OSError, ValueError) as error:
        raise UserError(
            f"'{workdir}' holds no run: {path} cannot be read ({error}). Give the --workdir of a run."
        ) from error


def flatten(nested: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten a config, plain or of ml_collections, to `{"train.batch_size": 128, ...}`."""
    flat = {}
    for key, value in nested.items():
        flat |= flatten(value, f"{prefix}{key}.") if hasattr(value, "items") else {f"{prefix}{key}": value}
    return flat


def with_tuples(value: Any) -> Any:
    """Convert the lists of JSON to the tuples of a config."""
    if isinstance(value, Mapping):
        return {key: with_tuples(each) for key, each in value.items()}
    return tuple(map(with_tuples, value)) if isinstance(value, (list, tuple)) else value


def _with_lists(value: Any) -> Any:
    """Convert tuples to the lists of JSON, as in the config of a run."""
    if isinstance(value, Mapping):
        return {key: _with_lists(each) for key, each in value.items()}
    return list(map(_with_lists, value)) if isinstance(value, tuple) else value
