"""What every tool gives back, and the choices that several share."""

from typing import NamedTuple

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.runs.trained_run import TrainedRun


class Outcome(NamedTuple):
    """What a tool found.

    Attributes:
      arrays: `{name: array}`, written as an `.npz`; images and other data lie in [0, 1].
      rows: `[rows, columns, *data_shape]` as viewed, to be looked at.
      title: what the sheet shows.
      numbers: `{name: value}`, printed and written as JSON.
    """

    arrays: dict[str, np.ndarray]
    rows: np.ndarray
    title: str
    numbers: dict[str, float] = {}  # noqa: RUF012 (never changed)


def chosen(run: TrainedRun, tool: str, **indices: int) -> list[int]:
    """The indices, each of an example of the test set.

    Raises:
      UserError: one that there is not.
    """
    size = len(run.dataset.test.x)
    for name, index in indices.items():
        if not 0 <= index < size:
            raise UserError(f"The tool '{tool}' got {name}={index}; the test set has the examples 0 to {size - 1}.")
    return list(indices.values())


def refuse_sequences(run: TrainedRun, tool: str) -> None:
    """Raises UserError where the data is text or music, whose values have no noise and no distance."""
    if kind := run.experiment.spec.sequence:
        raise UserError(f"The tool '{tool}' changes single values of an example, and this data is {kind}.")
