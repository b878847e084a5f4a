"""What every tool gives back, and the choices that several share."""

from typing import NamedTuple

import numpy as np

from jaxvae import figures
from jaxvae.errors import UserError
from jaxvae.subject import Subject


class Outcome(NamedTuple):
    """What a tool found.

    Attributes:
      arrays: `{name: array}`, written as an `.npz`; images and other data lie in [0, 1].
      rows: `[rows, columns, *data_shape]` in [0, 1], drawn as a sheet where the data is made of images.
      title: what the sheet shows.
      numbers: `{name: value}`, printed and written as JSON.
    """

    arrays: dict[str, np.ndarray]
    rows: np.ndarray
    title: str
    numbers: dict[str, float] = {}  # noqa: RUF012 (never changed)


def sheet(rows: np.ndarray) -> np.ndarray | None:
    """The rows of an outcome as one RGB picture; None where the data is not made of images."""
    if not figures.are_images(rows.shape[2:]):
        return None
    return figures.tile(figures.as_pictures(rows.reshape(-1, *rows.shape[2:])), rows.shape[1])


def chosen(subject: Subject, tool: str, **indices: int) -> list[int]:
    """The indices, each of an example of the test set.

    Raises:
      UserError: one that there is not.
    """
    size = len(subject.dataset.test.x)
    for name, index in indices.items():
        if not 0 <= index < size:
            raise UserError(f"The tool '{tool}' got {name}={index}; the test set has the examples 0 to {size - 1}.")
    return list(indices.values())
