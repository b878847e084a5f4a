"""Columns of a table that are not its features: labels and contexts, whose cells may be empty."""

from typing import Any

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.data.split import UNLABELLED


def context_of(column: Any, source: str, name: str) -> np.ndarray:
    """Return the values of an Arrow column of a context, `[N]`; UserError where one is missing."""
    values = column.to_pylist()
    if missing := np.flatnonzero(empty(values)).tolist():
        raise UserError(
            f"The column '{name}' of '{source}' lacks {len(missing)} values, the first in row {missing[0]}. Remove "
            "these rows, or give each a value."
        )
    return np.array(values)


def labels_of(column: Any, is_number: bool, source: str, name: str) -> np.ndarray:
    """Return the values of an Arrow column of labels, `[N]`; -1, or "" of text, where the cell is empty.

    Raises:
      UserError: some cells are empty, and the others hold less than two classes.
    """
    values = column.to_pylist()
    without = empty(values)
    known = [int(v) if is_number else str(v) for v, is_empty in zip(values, without, strict=True) if not is_empty]
    if without.any() and len(set(known)) < 2:
        raise UserError(
            f"The column '{name}' of '{source}' holds the labels, and {without.sum()} of its {len(values)} cells are "
            f"empty; the others hold {f'one class, {known[0]}' if known else 'nothing'}. Fill in cells of two classes "
            "or more, give another column as data.label, or drop this one."
        )
    labels = np.full(len(values), UNLABELLED if is_number else "", np.array(known).dtype)
    labels[~without] = known
    return labels


def beside_empty(column: Any) -> str:
    """Return the end of a note on a column of labels: ", empty in 3 of 10 rows, ..."; "" where none is empty."""
    without = empty(column.to_pylist())
    return f", empty in {without.sum()} of {len(without)} rows, which have no label" if without.any() else ""


def empty(values: list[Any]) -> np.ndarray:
    """Return which values of a column are missing, NaN or blank text, `[N]`."""
    is_empty = [v is None or v != v or (isinstance(v, str) and not v.strip()) for v in values]
    return np.array(is_empty, bool)
