"""Draw pictures, as matplotlib figures and as plain arrays, from arrays alone."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxvae.common.optional import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#333333"


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


def save_sheet(path: Path, sheet: np.ndarray, title: str, pixels: int = 900, tallest: int = 6000) -> None:
    """Save a titled sheet of pictures, enlarged without smoothing to a width of `pixels` or a height of `tallest`."""
    height, width = sheet.shape[:2]
    scale = min(pixels / width, tallest / height) / 100
    figure = _figure(max(width * scale, 6.0), height * scale + 0.4)
    axes = figure.add_subplot()
    axes.imshow(sheet, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title, fontsize=11, color=INK)
    _save(figure, path)


def save_curves(path: Path, rows: Sequence[dict[str, Any]]) -> bool:
    """Plot the training and validation loss and its terms by epoch, from the rows of `metrics.jsonl`.

    Returns:
      Whether a picture was written: False where no row has any of them.
    """
    names = [name for name in ("loss", "reconstruction", "kl") if any(row.get(name) is not None for row in rows)]
    if not names:
        return False
    figure = _figure(4 * len(names), 3.2)
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        for split, color in (("train", "#9ecae1"), ("validation", "#d95f0e")):
            points = [(row["epoch"], row[name]) for row in rows if row["split"] == split and row.get(name) is not None]
            if points:
                axes.plot(
                    *zip(*points, strict=True), color=color, label=split, marker="o" if len(points) == 1 else None
                )
        if (limits := curve_limits(rows, name)) is not None:
            axes.set_ylim(*limits)
        _plain(axes, "epoch", f"{name} (nats per example)")
    figure.axes[0].legend(frameon=False, fontsize=9)
    _save(figure, path)
    return True


def curve_limits(rows: Sequence[dict[str, Any]], name: str) -> tuple[float, float] | None:
    """Limits of the axis of a metric: the high values of the first steps are cut off, a rise of validation never is.

    None for a few values, which are all drawn.
    """
    known = [row for row in rows if row.get(name) is not None]
    if len(known) < 5:
        return None
    last = max(row["epoch"] for row in known)
    late = [row[name] for row in known if row["split"] == "validation" and row["epoch"] > last / 10]
    values = [row[name] for row in known]
    low, high = min(values), max([np.quantile(values, 0.98), *late])
    return low - 0.05 * (high - low), high + 0.05 * (high - low) + 1e-6


def save_latent_scatter(path: Path, codes: np.ndarray, labels: np.ndarray | None) -> None:
    """Plot the posterior means `[N, 2]` of the test set, coloured by label."""
    figure = _figure(6.4, 5.4)
    axes = figure.add_subplot()
    size = float(np.clip(6000 / len(codes), 3, 16))
    if labels is None:
        axes.scatter(*codes.T, s=size, linewidths=0, color="#3182bd", alpha=0.7)
    else:
        classes = np.unique(labels)
        if len(classes) <= 20:
            colors = require("matplotlib.colors").ListedColormap([_color(i, len(classes)) for i in range(len(classes))])
            limits = {"vmin": -0.5, "vmax": len(classes) - 0.5}
            index = np.searchsorted(classes, labels)
            drawn = axes.scatter(*codes.T, c=index, s=size, linewidths=0, cmap=colors, alpha=0.8, **limits)
            bar = figure.colorbar(drawn, ax=axes, ticks=range(len(classes)), label="label")
            bar.set_ticklabels([str(c) for c in classes])
            bar.outline.set_visible(False)
        else:
            figure.colorbar(axes.scatter(*codes.T, c=labels, s=size, linewidths=0, alpha=0.8), ax=axes, label="label")
    axes.set_aspect("equal")
    _plain(axes, "z[0]", "z[1]")
    _save(figure, path)


def save_rate_distortion(path: Path, curve: Mapping[str, Any]) -> None:
    """Plot the rate-distortion curve: distortion over rate, in nats, with the point at beta = 1.

    Args:
      path: the PNG file to write.
      curve: "beta" (increasing), "rate" and "distortion", `[P]` each; "distortion_unit" where it is not nats.
    """
    beta, rate, distortion = (np.asarray(curve[name], np.float64) for name in ("beta", "rate", "distortion"))
    figure = _figure(5.6, 4.2)
    axes = figure.add_subplot()
    axes.plot(rate, distortion, color="#3182bd", marker=".", markersize=5)
    if beta[0] <= 1 <= beta[-1]:
        at = np.interp(1.0, beta, rate), np.interp(1.0, beta, distortion)
        axes.plot(*at, "o", color="#d95f0e")
        axes.annotate(
            f"β = 1: rate + distortion = {sum(at):.1f}", at, (8, 8), textcoords="offset points", fontsize=9, color=INK
        )
    unit = curve.get("distortion_unit", "nats")
    _plain(axes, "rate: KL to the prior (nats per example)", f"distortion: reconstruction ({unit} per example)")
    _save(figure, path)


def _figure(width: float, height: float) -> "Figure":
    return require("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")


def _plain(axes: "Axes", x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)


def _color(index: int, count: int) -> tuple[float, ...]:
    return require("matplotlib").colormaps["tab10" if count <= 10 else "tab20"](index)


def _save(figure: "Figure", path: Path) -> None:
    require("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    scratch = path.with_name(f".{path.name}")
    figure.savefig(scratch, dpi=120, format="png")
    scratch.replace(path)
