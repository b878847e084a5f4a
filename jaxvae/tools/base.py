"""Hold the results of tools, and check what several tools need."""

from typing import NamedTuple

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.runs.trained_run import TrainedRun


class Labels(NamedTuple):
    """Labels of the rows and columns of a sheet, `()` for none, and the name of the axis along a row."""

    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    axis: str = ""


class Outcome(NamedTuple):
    """Result of a tool.

    Attributes:
      arrays: `{name: array}`, written as an `.npz`; data in its own units, see `data.own_units.viewed`.
      rows: `[rows, columns, *data_shape]` as `viewed`, drawn as a sheet.
      title: caption of the sheet.
      numbers: `{name: value}`, printed and written as JSON.
      labels: of the sheet's rows and columns.
      table: `{column: [N]}`, written as CSV; {} for none.
    """

    arrays: dict[str, np.ndarray]
    rows: np.ndarray
    title: str
    numbers: dict[str, float] = {}  # noqa: RUF012 (never changed)
    labels: Labels = Labels()
    table: dict[str, np.ndarray] = {}  # noqa: RUF012


def chosen(run: TrainedRun, tool: str, **indices: int) -> list[int]:
    """Check indices of test examples, and return them as a list.

    Raises:
      UserError: an index outside the test set.
    """
    size = len(run.dataset.test.x)
    for name, index in indices.items():
        if not 0 <= index < size:
            raise UserError(f"The tool '{tool}' got {name}={index}; the test set has the examples 0 to {size - 1}.")
    return list(indices.values())


def refuse_sequences(run: TrainedRun, tool: str) -> None:
    """Raise UserError for text and music, whose values cannot be masked, given noise or compared by distance."""
    if kind := run.experiment.spec.sequence:
        raise UserError(f"The tool '{tool}' changes single values of an example, but this data is {kind}.")
