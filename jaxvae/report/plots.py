"""Plot curves, codes and rates from arrays alone, as matplotlib figures; `style.save` saves them."""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxvae.common.optional import require
from jaxvae.report.palette import OKABE_ITO, is_ordered, of_classes
from jaxvae.report.style import COLUMN, INK, figure, name_axes, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TERMS = ("loss", "reconstruction", "kl")  # of which curves are drawn, in nats
OF_GROUP = "_loss"  # ending of the names of the losses of further groups of parameters, of which curves are drawn too
PANEL = 1.4  # inches high
SPLITS = {"train": OKABE_ITO[5], "validation": OKABE_ITO[3]}
SEEN = 4.0  # area of a point whose marker can be seen
BESIDE, SHORT = 12, 10  # classes and letters of their names that fit beside the plot; more stand below
CELLS = 20  # most classes of a confusion matrix with numbers
LONGEST = 40  # letters of the name of a class
SKIPPED = 0.98  # quantile of the values above which leading values are cut off


def curves(rows: Sequence[Mapping[str, Any]]) -> "Figure | None":
    """Plot the training and validation loss, its terms, and the losses of further groups by epoch, above each other.

    Args:
      rows: of `metrics.jsonl`: {"epoch", "split", "loss", ...}, in nats per example.

    Returns:
      The figure; None where no row has any of the terms.
    """
    names = drawn_terms(rows)
    if not names:
        return None
    with style():
        made = figure(COLUMN, PANEL * len(names) + 0.3)
        panels = np.atleast_1d(made.subplots(len(names), 1, sharex=True))
        for axes, name in zip(panels, names, strict=True):
            for split, color in SPLITS.items():
                points = [
                    (row["epoch"], row[name]) for row in rows if row["split"] == split and row.get(name) is not None
                ]
                if points:
                    mark = "o" if len(points) == 1 else None
                    axes.plot(*zip(*points, strict=True), color=color, label=split, marker=mark)
            if (limits := curve_limits(rows, name)) is not None:
                axes.set_ylim(*limits)
            name_axes(axes, "", term(name))
        name_epochs(panels[-1])
        panels[0].legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.2)  # above the lines
    return made


def name_epochs(axes: "Axes") -> None:
    """Name the axis of epochs, with ticks at whole ones."""
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(require("matplotlib.ticker").MaxNLocator(integer=True))


def drawn_terms(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the metrics of which curves are drawn: TERMS, and the losses of groups, such as "discriminator_loss"."""
    known = {name for row in rows for name, value in row.items() if value is not None}
    return [*(name for name in TERMS if name in known), *sorted(name for name in known if name.endswith(OF_GROUP))]


def term(name: str) -> str:
    """Return the name of a term on an axis, with its unit."""
    return f"{'KL' if name == 'kl' else name} (nats)" if name in TERMS else name.replace("_", " ")


def curve_limits(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[float, float] | None:
    """Limits of the axis of a metric: the high values at the start are cut off, a later rise of validation never is.

    None for a few values, which are all drawn.
    """
    known = [row for row in rows if row.get(name) is not None]
    if len(known) < 5:
        return None
    values = [row[name] for row in known]
    low, high = min(values), float(np.quantile(values, SKIPPED))
    validation = [row[name] for row in known if row["split"] == "validation"]
    start = next((i for i, value in enumerate(validation) if value <= high), 0)  # the first value after the descent
    high = max([high, *validation[start:]])
    return low - 0.05 * (high - low), high + 0.05 * (high - low) + 1e-6


def latent_scatter(
    codes: np.ndarray,
    labels: np.ndarray | None,
    names: tuple[str, ...] = (),
    axes_names: tuple[str, str] = ("z[0]", "z[1]"),
) -> "Figure":
    """Plot codes `[N, 2]`, with the colour and marker of their class.

    Args:
      codes: the posterior means of the test set, for example.
      labels: `[N]`, or None.
      names: of the labels 0, 1 ...; by default the labels themselves.
      axes_names: what the two values are.
    """
    with style():
        made = figure(COLUMN, 2.8)
        axes = made.add_subplot()
        if labels is None:
            axes.scatter(*codes.T, s=_size(codes), linewidths=0, color=OKABE_ITO[0], alpha=0.7)
        else:
            classes, index = np.unique(labels, return_inverse=True)
            shown = [names[one] if 0 <= one < len(names) else str(one) for one in classes.tolist()]
            (_ordered if is_ordered(len(classes)) else _classes)(axes, codes, index, shown)
        axes.set_aspect("equal")
        name_axes(axes, *axes_names)
    return made


def _size(codes: np.ndarray, least: float = 1.5) -> float:
    """Return the area of a point, in squared points, for so many codes."""
    return float(np.clip(2000 / max(len(codes), 1), least, 8))


def _classes(axes: "Axes", codes: np.ndarray, index: np.ndarray, names: list[str]) -> None:
    order = np.random.default_rng(0).permutation(len(names))  # so that no class always hides another
    looks = of_classes(len(names))
    size = _size(codes) if len(names) <= len(OKABE_ITO) else _size(codes, SEEN)
    for i in order:
        look = looks[i]
        axes.scatter(*codes[index == i].T, s=size, linewidths=0, color=look.color, marker=look.marker, alpha=0.8)
    line = require("matplotlib.lines").Line2D
    names = [textwrap.shorten(name, LONGEST, placeholder=" …") for name in names]
    marks = [
        line([], [], ls="", color=one.color, marker=one.marker, label=n) for one, n in zip(looks, names, strict=True)
    ]
    look = {"handles": marks, "title": "class", "handletextpad": 0.1, "columnspacing": 0.6}
    longest = max(map(len, names))
    if len(names) <= BESIDE and longest <= SHORT:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), **look)
        return
    columns = max(1, int(COLUMN / (0.3 + 0.06 * longest)))
    figure: Any = axes.figure
    figure.set_figheight(figure.get_figheight() + 0.15 * (2 + math.ceil(len(names) / columns)))
    figure.legend(loc="outside lower center", ncols=columns, **look)


def _ordered(axes: "Axes", codes: np.ndarray, index: np.ndarray, names: list[str]) -> None:
    """Colour the points by the rank of their class, with a colour bar: there are too many classes for a legend."""
    drawn = axes.scatter(*codes.T, c=index, s=_size(codes), linewidths=0, alpha=0.8, cmap="viridis")
    ticks = np.unique(np.linspace(0, len(names) - 1, 10).round().astype(int))
    bar = axes.figure.colorbar(drawn, ax=axes, ticks=ticks, label=f"class, {len(names)} in order")
    bar.set_ticklabels([names[i] for i in ticks.tolist()])
    bar.outline.set_visible(False)


def rate_distortion(curve: Mapping[str, Any]) -> "Figure":
    """Plot the rate-distortion curve: distortion over rate, in nats, with the point at beta = 1.

    Args:
      curve: "beta" (increasing), "rate" and "distortion", `[P]` each; "distortion_unit" where it is not nats.
    """
    beta, rate, distortion = (np.asarray(curve[name], np.float64) for name in ("beta", "rate", "distortion"))
    with style():
        made = figure(COLUMN, 2.5)
        axes = made.add_subplot()
        axes.plot(rate, distortion, color=OKABE_ITO[0], marker=".")
        if beta[0] <= 1 <= beta[-1]:
            at = np.interp(1.0, beta, rate), np.interp(1.0, beta, distortion)
            axes.plot(*at, "o", color=OKABE_ITO[3])
            said = f"β = 1: rate + distortion = {sum(at):.1f}"
            axes.annotate(said, at, (6, 6), textcoords="offset points", fontsize=7, color=INK)
        unit = curve.get("distortion_unit", "nats")
        name_axes(axes, "rate: KL to the prior (nats)", f"distortion ({unit})")
    return made


def confusion(counts: Any, names: Sequence[str]) -> "Figure":
    """Draw a confusion matrix: counts of examples by class (rows) and predicted class (columns).

    Shades are shares of a row; numbers stand in the cells where there are at most 20 classes.

    Args:
      counts: `[C, C]`.
      names: of the C classes.
    """
    counts = np.asarray(counts, np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ticks, few = np.arange(len(names)), len(names) <= CELLS
    with style():
        made = figure(COLUMN, COLUMN)
        axes = made.add_subplot()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        if few:
            for (row, column), count in np.ndenumerate(counts):
                shade = "white" if shares[row, column] > 0.6 else INK
                axes.text(column, row, f"{count:.0f}", ha="center", va="center", fontsize=6, color=shade)
            short = [textwrap.shorten(name, SHORT, placeholder="…") for name in names]
            axes.set_xticks(ticks, short, rotation=90 if max(map(len, short)) > 2 else 0)
            axes.set_yticks(ticks, short)
        axes.grid(visible=False)
        name_axes(axes, "predicted class", "class")
    return made


def rank_histogram(counts: Any, band: Sequence[float]) -> "Figure":
    """Plot the histogram of ranks of simulation-based calibration, by dimension of z and as their mean.

    Args:
      counts: `[D, bins]`.
      band: lowest and highest count of 99% of the bins of one dimension if its ranks are uniform, drawn in grey.
    """
    counts = np.asarray(counts, np.float64)
    edges = np.linspace(0, 1, counts.shape[1] + 1)
    with style():
        made = figure(COLUMN, 2.5)
        axes = made.add_subplot()
        axes.axhspan(*band, color=INK, alpha=0.12, linewidth=0, label="99% if q is exact")
        for row in counts:
            axes.stairs(row, edges, baseline=None, color=OKABE_ITO[0], linewidth=0.5, alpha=0.35)
        mean = counts.mean(axis=0)
        axes.stairs(
            mean, edges, baseline=None, color=OKABE_ITO[3], linewidth=1.5, label=f"mean of {len(counts)} dimensions"
        )
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper center", ncols=2)
        name_axes(axes, "rank of the true z among draws of q(z|x)", "examples per bin")
    return made
