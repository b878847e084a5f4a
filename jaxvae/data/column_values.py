"""Values of the columns of an Arrow table: numbers, or objects that become categories."""

from typing import Any, NamedTuple

import numpy as np

from jaxvae.common.optional import require


class Values(NamedTuple):
    """Values of a column: their type, as in `Column`, the values, and whether and in what order categories are given.

    Attributes:
      type: "float", "int", "bool" or "text"; "" where a column cannot be used.
      values: `[N]`, floats with NaN for missing ones, or objects with None.
      order: the categories of an ordered column; else ().
    """

    type: str
    values: np.ndarray
    order: tuple[Any, ...] = ()

    @property
    def present(self) -> np.ndarray:
        """Return the observed values."""
        kept = ~np.isnan(self.values) if self.values.dtype.kind == "f" else self.values != None  # noqa: E711 (by element)
        return self.values[kept]


def values_of(column: Any) -> Values:
    """Return the values of a column of an Arrow table; of the type "" where they are neither numbers nor categories."""
    types, type_ = require("pyarrow").types, column.type
    order: tuple[Any, ...] = ()
    if types.is_dictionary(type_):
        order = tuple(column.unify_dictionaries().chunk(0).dictionary.to_pylist()) if type_.ordered else ()
        column = column.cast(type_.value_type)
        type_ = column.type
    if types.is_string(type_) or types.is_large_string(type_) or types.is_string_view(type_):
        texts = [None if value is None or not value.strip() else value for value in column.to_pylist()]
        return Values("text", np.array(texts, object), order)
    if types.is_boolean(type_):
        return Values("bool", np.array(column.to_pylist(), object))
    if not (types.is_integer(type_) or types.is_floating(type_) or types.is_decimal(type_) or types.is_null(type_)):
        return Values("", np.zeros(len(column)))
    numbers = np.asarray(column.cast(require("pyarrow").float64(), safe=False).to_numpy(), np.float64)
    seen = numbers[np.isfinite(numbers)]
    return Values("int" if (seen == np.round(seen)).all() else "float", numbers, order)
