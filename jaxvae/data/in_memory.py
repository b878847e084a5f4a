"""Find the splits of data in memory: arrays, dictionaries of arrays and data frames, data frames, AnnData."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.data import annotated, tables
from jaxvae.data.context import own_names
from jaxvae.data.files import DATA_NAMES, ROW_NAMES, finished, from_arrays
from jaxvae.data.split import SPELLINGS, Found


def found_in(x: Any, settings: Mapping[str, Any], name: str) -> Found:
    """Find the splits of data in memory, as `files.read` does those of a file.

    Args:
      x: an array `[N, ...]` or a list of examples; a dictionary of arrays, as in an `.npz` file, some of which may be
        data frames; a data frame of pandas, Polars, Arrow; or an `AnnData`.
      settings: the section `data` of a config.
      name: of the data, for messages.

    Raises:
      UserError: x is not usable data, or lacks what a setting names.
    """
    label, size, own = settings.get("label", ""), settings["image_size"], own_names(settings.get("context", ""))
    if tables.is_table(x):
        return finished(tables.from_table(x, name, label, own), name, size)
    if annotated.is_annotated(x):
        return finished(annotated.from_annotated(x, name, label, own), name, size)
    arrays, columns = _named(x, name, label, own)
    return from_arrays(arrays, name, size, "" if columns else label, own)._replace(columns=columns)


def _named(x: Any, name: str, label: str, own: Sequence[str]) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Return named arrays, and the columns of the data frames among them.

    The labels, the context and the row names of a data frame become arrays of their own.
    """
    if not isinstance(x, Mapping):
        return {"x": as_array(x)}, ()
    arrays, columns = {}, ()
    for key, value in x.items():
        if not tables.is_table(value) or not hasattr(value, "columns"):
            arrays[key] = as_array(value)
            continue
        within = [each for each in own if each in list(getattr(value, "column_names", value.columns))]
        found = tables.from_table(value, f"{name}, {key}", label, within)
        if columns and found.columns != columns:
            value, found = tables.columns_of(value, columns, key), found._replace(columns=columns)
            found = found._replace(splits={"train": found.splits["train"]._replace(x=value)})
        split, columns = found.splits["train"], found.columns
        arrays[key] = split.x
        found = {"y": split.label, ROW_NAMES: split.names}
        found |= {each: split.beside[each] for each in within if split.beside is not None}
        named = {_beside(key, each): array for each, array in found.items()}
        arrays |= {each: array for each, array in named.items() if array is not None and each not in x}
    return arrays, columns


def _beside(key: str, name: str) -> str:
    """Return the name of an array beside that of `key`: "y_test" beside "x_test", "y" beside "x"."""
    if key in SPELLINGS:
        return f"{key}_{name}"
    parts = [name if part in DATA_NAMES else part for part in key.split("_")]
    return "_".join(parts) if name in parts else name


def as_array(x: Any) -> np.ndarray:
    """Convert examples to an array, masked entries to NaN; raise UserError for examples of different shapes."""
    if isinstance(x, np.ma.MaskedArray):
        return np.ma.filled(x.astype(np.float32), np.nan) if np.ma.is_masked(x) else x.data
    try:
        return np.asarray(x)
    except ValueError as error:
        raise UserError(
            "The examples have different shapes: give an array [N, ...], or a list of arrays of one shape."
        ) from error
