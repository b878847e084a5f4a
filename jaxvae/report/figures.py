"""Tile images into sheets, as plain arrays and as figures."""

import math
import textwrap
from typing import TYPE_CHECKING

import numpy as np

from jaxvae.report.style import figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHEET_DPI = 300  # so that 900 pixels are 3 inches
LETTERS = 17  # of a title, in an inch


def are_images(shape: tuple[int, ...]) -> bool:
    """Return whether examples of this shape are images: `[H, W, 1 or 3]`."""
    return len(shape) == 3 and shape[-1] in (1, 3)


def as_pictures(x: np.ndarray) -> np.ndarray:
    """Convert images `[N, H, W, 1 or 3]` in [0, 1] to RGB `[N, H, W, 3]`, uint8."""
    return np.repeat((x * 255).round().astype(np.uint8), 3 // x.shape[-1], axis=-1)


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
    """Tile rows of inputs, each above the row of its outputs, into one picture."""
    blocks = []
    for i in range(0, len(inputs), columns):
        blocks += [inputs[i : i + columns], outputs[i : i + columns]]
    return tile(np.concatenate(blocks), min(columns, len(inputs)))


def sheet(picture: np.ndarray, title: str, pixels: int = 900, tallest: int = 6000) -> "Figure":
    """Draw a titled sheet of pictures, enlarged without smoothing to a width of `pixels` or a height of `tallest`.

    Save it with SHEET_DPI dots per inch.
    """
    height, width = picture.shape[:2]
    scale = min(pixels / width, tallest / height) / SHEET_DPI
    wide = max(width * scale, 2.2)
    lines = textwrap.wrap(title, max(int(wide * LETTERS), 1))
    with style():
        made = figure(wide, height * scale + 0.15 * len(lines) + 0.05)
        axes = made.add_subplot()
        axes.imshow(picture, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title("\n".join(lines), fontsize=7)
    return made
