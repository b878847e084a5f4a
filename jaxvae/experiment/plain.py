"""Load configs as plain dictionaries, and migrate those of earlier versions."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxvae.common.errors import UserError
from jaxvae.common.files import read_json

ADDED = {
    "data.kind": "images",
    "data.sequence": {"max_length": 0, "unit": "word", "vocabulary_size": 0, "min_count": 1, "frames_per_beat": 1},
    "data.options": {},
    "data.scaling": "none",
    "data.label": "",
    "data.missing": 0.0,
    "data.missing_seed": 0,
    "data.context": "",
    "data.columns": [],
    "data.stream": False,
    "data.workers": 0,
    "model.name": "vae",
    "train.compute_dtype": "float32",
    "train.accumulate": 1,
    "train.remat": False,
    "train.start_from": "",
    "train.freeze": [],
    "train.select": "loss",
    "train.patience": 0,
    "optimizer.ema_decay": 0.0,
    "optimizer.skip_norm": 0.0,
    "optimizer.every": 1,
    "optimizer.groups": {},
    "sample.decoding": {"name": "greedy"},
    "sample.format": "csv",
    "figures": {"draw": True, "format": "png"},
    "context": {"encoder": True, "decoder": True, "prior": False},
}


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Migrate a config: add the sections of ADDED that it lacks, and its settings in existing sections."""
    config = dict(config)
    for path, value in ADDED.items():
        section, _, key = path.partition(".")
        if not key:
            config.setdefault(section, dict(value))
        elif section in config:
            config[section] = {**config[section], **({} if key in config[section] else {key: value})}
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
            if not isinstance(config[name], dict):
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
