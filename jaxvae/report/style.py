"""Make figures in one style, readable at the width of a column, and save them with the same bytes every time."""

import io
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxvae.common.optional import require
from jaxvae.experiment.defaults import FORMATS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN = 3.3  # inches: a column of a paper in two columns
DPI = 300
SCREEN_DPI = 160
INK = "#333333"
STYLE: dict[str, Any] = {
    "font.size": 8, "axes.labelsize": 8, "axes.titlesize": 8, "legend.fontsize": 7, "xtick.labelsize": 7,
    "ytick.labelsize": 7, "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6,
    "lines.linewidth": 1.2, "lines.markersize": 4, "legend.frameon": False, "axes.spines.top": False,
    "axes.spines.right": False, "axes.titlecolor": INK,
    "pdf.fonttype": 42,  # TrueType, embedded
    "svg.fonttype": "path",  # glyphs as paths: no font is needed to show it
    "svg.hashsalt": "jaxvae",
}  # fmt: skip
# Without the time of writing, the same figure has the same bytes.
METADATA: dict[str, dict[str, None]] = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}


def style() -> AbstractContextManager[None]:
    """Return a context in which matplotlib draws in the style of the package."""
    return require("matplotlib").rc_context(STYLE)


def figure(width: float = COLUMN, height: float = 2.5) -> "Figure":
    """Make an empty figure of this size in inches. Draw on it in the context `style()`.

    A notebook shows it as the value of a cell, which it does with figures of pyplot alone otherwise.
    """
    made = require("matplotlib.figure").Figure(figsize=(width, height), dpi=SCREEN_DPI, layout="constrained")
    made._repr_png_ = partial(encode, made, dpi=SCREEN_DPI)
    return made


def name_axes(axes: "Axes", x: str, y: str) -> None:
    """Name both axes, with their units."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def encode(figure: "Figure", kind: str = "png", dpi: float = DPI) -> bytes:
    """Encode a figure as `kind`, one of FORMATS; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, dpi=dpi, format=kind, metadata=METADATA[kind])
    return buffer.getvalue()


def save(figure: "Figure", path: Path, kind: str = "png", dpi: float = DPI) -> list[Path]:
    """Save a figure as PNG, and beside it as `kind` where that is another format; return the files.

    Files of the same name in other formats, left by earlier settings, are removed.

    Args:
      figure: the figure.
      path: the file without its suffix.
      kind: one of FORMATS.
      dpi: dots per inch of the PNG.
    """
    written = []
    for each in FORMATS:
        file = path.with_name(f"{path.name}.{each}")
        if each not in ("png", kind):
            file.unlink(missing_ok=True)
            continue
        scratch = file.with_name(f".{file.name}")
        scratch.write_bytes(encode(figure, each, dpi))
        scratch.replace(file)
        written.append(file)
    return written
