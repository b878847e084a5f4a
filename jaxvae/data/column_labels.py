"""Columns of a table beside its features: labels, which may lack cells, and contexts, which may not."""

from decimal import Decimal
from typing import Any

import numpy as np

from jaxvae.common.errors import UserError


def context_of(column: Any, source: str, name: str) -> np.ndarray:
    """Return the values of an Arrow column of a context, `[N]`; UserError where one is missing."""
    values = column.to_pylist()
    if missing := np.flatnonzero(empty(values)).tolist():
        raise UserError(
            f"The column '{name}' of '{source}' lacks {len(missing)} values, the first in row {missing[0]}. Remove "
            "these rows, or give each a value."
        )
    return np.array(values)


def labels_of(column: Any, source: str, name: str) -> tuple[np.ndarray | None, str]:
    """Return the values of an Arrow column of labels, `[N]`, NaN or "" of text where a cell is empty; and a note.

    The labels are None where all cells are empty.

    Raises:
      UserError: cells are empty, and the others hold neither numbers nor text.
    """
    values = column.to_pylist()
    without = empty(values)
    if not without.any():
        return np.array(values), f"labels are the column '{name}'"
    if without.all():
        return None, f"no labels: the column '{name}' is empty"
    known = [value for value, is_empty in zip(values, without, strict=True) if not is_empty]
    note = f"labels are the column '{name}', empty in {without.sum()} of {len(values)} rows, which have no label"
    if all(isinstance(value, int | float | Decimal) for value in known):
        return np.array([np.nan if e else float(v) for v, e in zip(values, without, strict=True)]), note
    if all(isinstance(value, str) for value in known):
        return np.array(["" if e else v for v, e in zip(values, without, strict=True)]), note
    return context_of(column, source, name), note  # which refuses the empty cells, of dates for example


def empty(values: list[Any]) -> np.ndarray:
    """Return which values of a column are missing, NaN or blank text, `[N]`."""
    is_empty = [v is None or v != v or (isinstance(v, str) and not v.strip()) for v in values]
    return np.array(is_empty, bool)
