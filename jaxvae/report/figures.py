"""Tile images into sheets, as plain arrays and as figures."""

import math
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from jaxvae.report.style import figure, style
from jaxvae.tools.base import Labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHEET_DPI = 300  # so that 900 pixels are 3 inches
LETTERS = 17  # of a title, in an inch
NARROW = 20  # letters of a label, in an inch
LABEL, TURNED = 0.3, 0.1  # inches for the label of a column, and for one that is turned by 90 degrees
MISSING = 0.5
NO_LABELS = Labels()


def are_images(shape: tuple[int, ...]) -> bool:
    """Return whether examples of this shape are images: `[H, W, 1 or 3]`."""
    return len(shape) == 3 and shape[-1] in (1, 3)


def as_pictures(x: np.ndarray) -> np.ndarray:
    """Convert images `[N, H, W, 1 or 3]` in [0, 1] to RGB `[N, H, W, 3]`, uint8; missing values, NaN, are grey."""
    return np.repeat((np.nan_to_num(x, nan=MISSING) * 255).round().astype(np.uint8), 3 // x.shape[-1], axis=-1)


def tile(pictures: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """Tile RGB pictures `[N, H, W, 3]` row by row into one `[H', W', 3]`, with white gaps."""
    n, h, w, _ = pictures.shape
    rows = math.ceil(n / columns)
    sheet = np.full((rows * (h + gap) + gap, columns * (w + gap) + gap, 3), 255, np.uint8)
    for i, picture in enumerate(pictures):
        top, left = gap + i // columns * (h + gap), gap + i % columns * (w + gap)
        sheet[top : top + h, left : left + w] = picture
    return sheet


def beside(inputs: np.ndarray, outputs: np.ndarray, columns: int = 16) -> np.ndarray:
    """Tile rows of inputs, each above the row of its outputs, into one picture; the last rows may end in white."""
    columns = min(columns, len(inputs))
    white = np.full((-len(inputs) % columns, *inputs.shape[1:]), 255, inputs.dtype)
    rows = [np.concatenate([each, white]).reshape(-1, columns, *each.shape[1:]) for each in (inputs, outputs)]
    return tile(np.stack(rows, axis=1).reshape(-1, *inputs.shape[1:]), columns)


def sheet(
    picture: np.ndarray, title: str, labels: Labels = NO_LABELS, pixels: int = 900, tallest: int = 6000
) -> "Figure":
    """Draw a sheet of pictures, enlarged without smoothing to a width of `pixels` or a height of `tallest`.

    Save it with SHEET_DPI dots per inch. Labels stand beside their row and below their column, turned where they are
    wider than it; of narrow columns every second or third has one.
    """
    height, width = picture.shape[:2]
    beside = 0.05 + max(map(len, labels.rows)) / NARROW if labels.rows else 0.0
    scale = min(pixels / SHEET_DPI - beside, tallest / SHEET_DPI * width / height) / width
    wide = max(width * scale + beside, 2.2)
    letters = max(int((wide - beside) * LETTERS), 1)
    lines, axis = textwrap.wrap(title, letters), textwrap.wrap(labels.axis, letters)
    long, each = max(map(len, labels.columns), default=0) / NARROW, width * scale / max(len(labels.columns), 1)
    is_turned = long > max(each, LABEL)
    below = (long + 0.1 if is_turned else 0.18 if labels.columns else 0) + 0.15 * len(axis)
    with style():
        made = figure(wide, height * scale + 0.15 * len(lines) + 0.05 + below)
        axes = made.add_subplot()
        axes.imshow(picture, interpolation="nearest")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, pad=2)
        axes.set_yticks(_middles(height, len(labels.rows)), labels.rows)
        every = math.ceil((TURNED if is_turned else LABEL) / each)
        axes.set_xticks(_middles(width, len(labels.columns))[::every], labels.columns[::every])
        axes.tick_params(axis="x", rotation=90 if is_turned else 0)
        axes.set_xlabel("\n".join(axis), fontsize=7)
        axes.set_title("\n".join(lines), fontsize=7)
    return made


def _middles(length: int, count: int) -> np.ndarray:
    """Return the middles of `count` equal parts of `length` pixels, as the axes of `imshow` count them."""
    return (np.arange(count) + 0.5) * length / max(count, 1) - 0.5
