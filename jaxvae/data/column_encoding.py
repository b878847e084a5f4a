"""Encode the values of a table's columns as floats, codes for categories."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxvae.common.columns import Column
from jaxvae.common.errors import UserError
from jaxvae.data import tables
from jaxvae.data.column_values import Values, values_of

LEAST_POSITIVE = float(np.finfo(np.float32).tiny)  # below it, float32 is 0 or loses digits


def encode(column: Column, values: Values, source: str) -> np.ndarray:
    """Encode the values of a column, `[N]` floats with NaN where one is missing.

    Raises:
      UserError: a value that is not a number, or a category that the column does not have.
    """
    if column.has_categories:
        codes: dict[Any, float] = {category: float(i) for i, category in enumerate(column.categories)}
        if others := sorted({str(value) for value in values.present.tolist() if value not in codes}):
            known = ", ".join(map(str, column.categories[:10]))
            raise UserError(
                f"The column '{column.name}' of '{source}' has {len(others)} values that are not among its categories: "
                f"{', '.join(others[:5])}. Known: {known}{' ...' if len(column.categories) > 10 else ''}."
            )
        return np.array([codes.get(value, np.nan) for value in values.values.tolist()])
    if len(values.present) and values.type not in ("int", "float" if column.kind != "count" else "int"):
        raise UserError(f"The column '{column.name}' of '{source}' must be numbers, of kind {column.kind}, but is not.")
    numbers = np.array([np.nan if value is None else value for value in values.values.tolist()], np.float64)
    low = {"positive": LEAST_POSITIVE, "count": 0.0}.get(column.kind, -np.inf)
    if (numbers < low).any():
        raise UserError(
            f"The column '{column.name}' of '{source}' is {column.kind}, but its least value is "
            f"{np.nanmin(numbers):g}. Set its kind to real, data.columns={column.name}=real, or mend the table."
        )
    return numbers


def encode_like(table: Sequence[Column], frame: Any, source: str) -> np.ndarray:
    """Encode a data frame with the columns of a run, `[N, D]` float32 with NaN where a cell is empty.

    Raises:
      UserError: a column is missing, has another type, or holds a category that the training data lacks.
    """
    arrow = tables.as_arrow(frame, source)
    names = list(map(str, arrow.column_names))
    if missing := [column.name for column in table if column.name not in names]:
        raise UserError(
            f"The table lacks {len(missing)} of the {len(table)} columns that the run was trained on: "
            f"{', '.join(missing[:10])}. It has {', '.join(names[:20])}."
        )
    found = [values_of(arrow.column(names.index(column.name))) for column in table]
    rows = [encode(column, values, source) for column, values in zip(table, found, strict=True)]
    return np.column_stack(rows).astype(np.float32)
