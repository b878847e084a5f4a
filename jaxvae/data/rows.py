"""Rows of a table in its own terms: names, types, units and categories as they came."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from jaxvae.common.columns import Column
from jaxvae.common.optional import require
from jaxvae.data.column_values import values_of
from jaxvae.data.tables import as_arrow

FORMATS = ("csv", "parquet")


def rows_of(table: Sequence[Column], x: np.ndarray) -> dict[str, np.ndarray]:
    """Decode floats `[N, D]` in the units of a table to its columns, `{name: [N]}`.

    Numbers that were whole in the training data are rounded, codes become the categories nearest to them, and positive
    numbers and counts stay in their range.
    """
    return {column.name: _decoded(column, values) for column, values in zip(table, x.T, strict=True)}


def with_gaps(columns: Mapping[str, np.ndarray], mask: np.ndarray | None) -> dict[str, np.ndarray]:
    """Put None where the mask `[N, D]` is False: an empty cell of a file."""
    if mask is None:
        return dict(columns)
    gaps = {name: np.asarray(array, object).copy() for name, array in columns.items()}
    for array, observed in zip(gaps.values(), mask.T, strict=True):
        array[~observed] = None
    return gaps


def as_frames(table: Sequence[Column], x: np.ndarray) -> Any:
    """Convert rows `[N, D]` of a table to a data frame, and draws `[M, N, D]` to a list; other data is unchanged.

    Where pandas is not installed, a data frame is a dictionary of columns.
    """
    if not table:
        return x
    if x.ndim > 2:
        return [as_frames(table, rows) for rows in x]
    columns = rows_of(table, x)
    return require("pandas").DataFrame(columns) if find_spec("pandas") else columns


def with_given(table: Sequence[Column], columns: Any, frame: Any, observed: np.ndarray) -> Any:
    """Put the numbers of a data frame in place of those of `columns` where `observed` `[N, D]`, with all their digits.

    `columns` are rows of the table as of `as_frames`; they went through float32.
    """
    if isinstance(columns, list):
        return [with_given(table, rows, frame, observed) for rows in columns]
    arrow = as_arrow(frame, "x")
    columns = columns.copy()
    for column, seen in zip(table, observed.T, strict=True):
        if not column.has_categories:
            given = values_of(arrow.column(arrow.column_names.index(column.name))).values
            exact = np.where(seen, given, columns[column.name])
            columns[column.name] = exact.astype(np.int64) if column.type == "int" else exact
    return columns


def write_columns(path: Path, columns: Mapping[str, np.ndarray]) -> None:
    """Write columns `{name: [N]}` to a `.csv` or `.parquet` file, by the suffix of `path`."""
    table = require("pyarrow").table({name: np.ascontiguousarray(array) for name, array in columns.items()})
    if path.suffix == ".parquet":
        require("pyarrow.parquet").write_table(table, path)
    else:
        require("pyarrow.csv").write_csv(table, path)


def _decoded(column: Column, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float32)
    if column.has_categories:
        codes = np.clip(np.rint(values), 0, len(column.categories) - 1).astype(int)
        return np.asarray(column.categories, object if column.type == "text" else None)[codes]
    is_whole = column.type == "int"
    if column.kind in ("positive", "count"):
        least = 0 if column.kind == "count" else 1 if is_whole else np.finfo(np.float32).tiny
        values = np.maximum(values, np.float32(least))
    return np.rint(values).astype(np.int64) if is_whole else values
