"""Names of the rows of a table: its index, or its first column of text."""

from collections.abc import Collection
from typing import Any

import numpy as np

from jaxvae.common.optional import require

UNNAMED = ("", "Unnamed: 0")  # of a first column: an index that was written to a CSV file


def without_index(table: Any) -> tuple[Any, np.ndarray | None]:
    """Take the index out of an Arrow table: that of pandas, or a first column without a name.

    Returns:
      The table, and the index `[N]`; None where it has none, or the numbers 0, 1 ... of pandas.
    """
    described = (table.schema.pandas_metadata or {}).get("index_columns", ())
    names = [name for name in described if name in table.column_names]
    if not names and table.num_columns > 1 and table.column_names[0] in UNNAMED:
        names = table.column_names[:1]
    if names:
        levels = [_values(table.column(name)) for name in names]
        index = (
            levels[0] if len(levels) == 1 else np.array([", ".join(map(str, row)) for row in zip(*levels, strict=True)])
        )
        return table.drop_columns(names), index
    for each in described:
        if isinstance(each, dict) and (each["start"], each["step"]) != (0, 1):  # rows of a larger data frame
            return table, np.arange(each["start"], each["stop"], each["step"])
    return table, None


def of_table(table: Any, index: np.ndarray | None, used: Collection[str]) -> np.ndarray | None:
    """Return names of rows, `[N]`: the index, else the first column of text that is not `used`, if all differ."""
    if index is not None:
        return index
    name = naming(table, used)
    return _values(table.column(name)) if name else None


def naming(table: Any, used: Collection[str]) -> str:
    """Return the first column of text that is not `used`, if all its values differ; else ""."""
    types = require("pyarrow").types
    tests = (types.is_string, types.is_large_string, types.is_string_view)
    for name, column in zip(table.column_names, table.columns, strict=True):
        if any(test(column.type) for test in tests) and name not in used:
            distinct = column.null_count == 0 and len(column.unique()) == len(column)
            return name if distinct else ""
    return ""


def _values(column: Any) -> np.ndarray:
    """Return whole numbers as these, and everything else as text."""
    values = column.to_pylist()
    are_whole = all(isinstance(value, int) and not isinstance(value, bool) for value in values)
    return np.array(values if are_whole else list(map(str, values)))
