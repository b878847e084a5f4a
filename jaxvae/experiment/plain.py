"""Settings that came after some runs: what those runs did, so that they can be used as ever."""

from collections.abc import Mapping
from typing import Any

ADDED = {
    "data.kind": "images",
    "data.sequence": {"max_length": 0, "unit": "word", "vocabulary_size": 0, "min_count": 1, "frames_per_beat": 1},
    "data.stream": False,
    "data.workers": 0,
    "train.compute_dtype": "float32",
    "train.accumulate": 1,
    "train.remat": False,
    "train.start_from": "",
    "optimizer.ema_decay": 0.0,
    "optimizer.skip_norm": 0.0,
    "sample.decoding": {"name": "greedy"},
}


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config with what it lacks of ADDED, in the sections that it has."""
    config = dict(config)
    for path, value in ADDED.items():
        section, _, key = path.partition(".")
        if section in config:
            config[section] = {**config[section], **({} if key in config[section] else {key: value})}
    return config
