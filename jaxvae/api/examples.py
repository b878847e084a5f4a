"""Show examples as they leave a run: images and music as a figure, text as sentences."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.data.spec import DataSpec
from jaxvae.report import views

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def sheet(spec: DataSpec, x: Any, title: str = "", columns: int = 0) -> "Figure":
    """Draw images as a sheet, or music as piano rolls; a notebook shows the figure.

    Args:
      spec: of the data of the run.
      x: `[N, *data_shape]` in the range of the data, as `run.sample` returns it; or `[rows, columns, *data_shape]`, of
        which pairs, `np.stack([x, run.reconstruct(x)], axis=1)`, are drawn one above the other. NaN is grey.
      title: above the sheet.
      columns: examples beside each other; 0 for 8, or as x says.

    Raises:
      UserError: x is of another shape, or not images or music.
    """
    rows, shape = np.asarray(x), spec.shape
    if rows.shape[-len(shape) :] != shape and len(shape) == 3 and shape[-1] == 1:
        rows = rows[..., None]  # grey images without their axis of channels
    rows = rows[:, None] if rows.ndim == 1 + len(shape) else rows
    if rows.ndim != 2 + len(shape) or rows.shape[2:] != shape or not rows.size:
        sizes = ", ".join(map(str, shape))
        raise UserError(f"The examples have shape {np.shape(x)}; give [N, {sizes}], or [rows, columns, {sizes}].")
    if (figure := views.figure(spec, rows, title, columns)) is None:
        raise UserError(
            "The examples are not images or music: sentences of text are run.sentences(tokens), rows of a table are "
            "already a data frame or an array."
        )
    return figure


def sentences(config: Mapping[str, Any], spec: DataSpec, tokens: Any) -> list[str]:
    """Decode tokens `[N, T]`, padded with -1, to N sentences.

    Raises:
      UserError: the run is not of text, or a number is not one of its tokens.
    """
    if spec.sequence != "text":
        raise UserError(f"The data of this run is {spec.sequence or 'not a sequence'}, not text: it has no sentences.")
    found = np.asarray(tokens)
    if found.ndim != 2 or found.dtype.kind not in "iu":
        raise UserError(f"The tokens are {found.dtype} of shape {found.shape}; give whole numbers [N, T].")
    return views.sentences(config, spec, found)
