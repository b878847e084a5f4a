"""Define which settings may change when a run goes on, and compare two configs. Imports no JAX.

Each list holds settings and sections; every other setting decides the model or its data, and needs a new run.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from jaxvae.experiment.defaults import KEYS, is_filled_in, shared
from jaxvae.experiment.plain import completed, flatten

# Where the data is and how it is read: the run knows its data by a checksum.
PLACES = ("data.name", "data.path", "data.data_dir", "data.cache_dir", "data.stream", "data.workers")
# What is asked of a trained run; the other modes may change these and the places, and record nothing.
ASKED = ("name", "evaluate", "sample", "encode", "tool", "figures", "parallel")
# How training goes on.
TRAINING = (
    "train.num_epochs", "train.patience", "train.eval_every_epochs", "train.steps_per_call", "optimizer.learning_rate",
    "optimizer.schedule", "optimizer.warmup_steps", "optimizer.clip_norm", "train.trackers",
)  # fmt: skip
GOING_ON = TRAINING + ASKED + PLACES

Changes = dict[str, tuple[Any, Any]]  # {setting: (before, now)}; None where a config lacks it


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Changes:
    """Compare two configs, migrated to the current settings; a setting newer than `before` is not a change."""
    old, new = flatten(completed(before)), flatten(completed(now))
    keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    keys = [key for key in keys if not is_filled_in(key)]
    return {key: (old.get(key), new.get(key)) for key in keys if key in old or not _is_default(key, new[key])}


def may_change(key: str, allowed: Iterable[str]) -> bool:
    """Return whether a setting, or an option of a part, is in a list of settings and sections."""
    return any(f"{shared(key)}.".startswith(f"{name}.") for name in allowed)


def _is_default(key: str, value: Any) -> bool:
    setting = KEYS.get(shared(key))
    return setting is not None and setting.default == value
