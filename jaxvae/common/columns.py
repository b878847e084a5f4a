"""Columns of a table: their kinds, their codes as floats, and how they are scaled for networks."""

import math
from typing import Any, NamedTuple

# By kind: the distribution of a column, for messages and docs.
KINDS = {
    "real": "Gaussian", "positive": "log-normal", "count": "Poisson", "ordinal": "cumulative logit",
    "categorical": "categorical", "binary": "Bernoulli",
}  # fmt: skip
OF_CATEGORIES = ("ordinal", "categorical", "binary")


class Column(NamedTuple):
    """A column of a table, one float in each row: a number, or the code of a category.

    Attributes:
      name: as in the table.
      kind: a key of KINDS.
      type: of the values in the table: "float", "int", "bool" or "text".
      categories: the value of each code 0, 1 ...; () for numbers.
      centre, spread: mean and standard deviation, over the training data, of `to_linear`; in the model's units.
      frequencies: shares of the categories in the training data, all above 0; () for numbers.
      low, high: least and greatest float in the training data, in the model's units; equal where an earlier version did
        not record them.
    """

    name: str
    kind: str
    type: str = "float"
    categories: tuple[Any, ...] = ()
    centre: float = 0.0
    spread: float = 1.0
    frequencies: tuple[float, ...] = ()
    low: float = 0.0
    high: float = 0.0

    @property
    def has_categories(self) -> bool:
        """Return whether the floats are codes."""
        return self.kind in OF_CATEGORIES

    @property
    def fill(self) -> float:
        """Return the float whose encoding for a network is 0, in place of a missing value."""
        inverse = {"positive": math.exp, "count": math.expm1, "categorical": lambda _: -1.0}
        return inverse.get(self.kind, float)(self.centre)
