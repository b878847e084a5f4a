"""Draw runs over each other, and a metric against a setting with error bars."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxvae.report.comparison.table import NATS, Comparison, Group, metric_label, shown
from jaxvae.report.palette import MARKERS, MOST_CURVES, of_curves
from jaxvae.report.plots import PANEL, curve_limits, drawn_terms, name_epochs, term
from jaxvae.report.style import COLUMN, figure, name_axes, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE = 50.0  # ratio of the largest to the smallest value from which an axis is logarithmic


def curves(comparison: Comparison, logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> "Figure | None":
    """Plot the validation loss of each run and its terms by epoch, with one colour and dash for each group.

    The training loss is drawn for runs without validation data. At most MOST_CURVES groups are drawn.

    Args:
      comparison: the runs.
      logs: the rows of `metrics.jsonl` by the run's name.

    Returns:
      The figure; None where no run has any of the terms.
    """
    drawn = {name: _of_one_split(logs.get(name, [])) for group in comparison.groups for name in group.names}
    names = drawn_terms(row for rows in drawn.values() for row in rows)
    if not names:
        return None
    with style():
        made = figure(COLUMN, PANEL * len(names) + 0.3 + 0.14 * min(len(comparison.groups), MOST_CURVES))
        panels = np.atleast_1d(made.subplots(len(names), 1, sharex=True))
        for axes, name in zip(panels, names, strict=True):
            _panel(axes, comparison.groups, drawn, name)
            name_axes(axes, "", term(name))
        name_epochs(panels[-1])
        if len(comparison.groups) > 1:
            made.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", labelspacing=0.2)
    return made


def _panel(axes: "Axes", groups: Sequence[Group], drawn: Mapping[str, Sequence[Mapping[str, Any]]], name: str) -> None:
    limits = []
    for group, (color, dashes) in zip(groups, of_curves(len(groups)), strict=False):
        for i, run in enumerate(group.names):
            points = [(row["epoch"], row[name]) for row in drawn[run] if row.get(name) is not None]
            if points:
                look = {"color": color, "ls": dashes, "lw": 1.0, "alpha": 0.9 if len(group.names) == 1 else 0.7}
                mark = "o" if len(points) == 1 else None
                axes.plot(*zip(*points, strict=True), marker=mark, label=None if i else group.label(), **look)
                limits.append(curve_limits(drawn[run], name))
    if limits and None not in limits:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _of_one_split(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Return the validation rows, without any the training rows."""
    return [row for row in rows if row["split"] == "validation"] or rows


def main_setting(comparison: Comparison) -> str | None:
    """Return the setting for the x axis: of those that differ the one with most values, a number where possible."""

    def rank(key: str) -> tuple[bool, int]:
        values = [group.settings[key] for group in comparison.groups]
        return all(map(_is_number, values)), len(set(map(shown, values)))

    return max(comparison.settings, key=rank, default=None)


def against(comparison: Comparison, metric: str, key: str) -> "Figure | None":
    """Plot a metric against a setting: means with error bars of one standard deviation over the seeds.

    Groups that differ in further settings become lines of their own.

    Args:
      comparison: the runs.
      metric: a flat name, such as "nll".
      key: a setting that differs.

    Returns:
      The figure; None where no group has the metric.
    """
    groups = [group for group in comparison.groups if metric in group.metrics]
    if not groups:
        return None
    lines: dict[tuple[str, ...], list[Group]] = {}
    for group in groups:
        others = tuple(shown(value) for name, value in group.settings.items() if name != key)
        lines.setdefault(others, []).append(group)
    values = [group.settings[key] for group in groups]
    is_number = all(map(_is_number, values))
    ticks = list(dict.fromkeys(map(shown, values)))
    with style():
        made = figure(COLUMN, 2.3 + 0.14 * (len(lines) if len(lines) > 1 else 0))
        axes = made.add_subplot()
        for i, (of_line, (color, dashes)) in enumerate(zip(lines.values(), of_curves(len(lines)), strict=False)):
            x = [group.settings[key] if is_number else ticks.index(shown(group.settings[key])) for group in of_line]
            found = [group.metrics[metric] for group in of_line]
            means, sds = [one.mean for one in found], [one.sd or 0.0 for one in found]
            look = {"color": color, "ls": dashes, "marker": MARKERS[i % len(MARKERS)], "elinewidth": 0.8}
            axes.errorbar(x, means, sds, capsize=2.5, label=of_line[0].label(key), **look)
        _scale_x(axes, values, is_number, ticks)
        name_axes(axes, f"{key}{_counted(groups)}", f"{metric_label(metric)}{' (nats)' if metric in NATS else ''}")
        if len(lines) > 1:
            made.legend(*axes.get_legend_handles_labels(), loc="outside upper left", labelspacing=0.2)
    return made


def _scale_x(axes: "Axes", values: Sequence[Any], is_number: bool, ticks: Sequence[str]) -> None:
    if not is_number:
        axes.set_xticks(range(len(ticks)), ticks)
        return
    if min(values) > 0 and max(values) / min(values) >= WIDE:
        axes.set_xscale("log")
    if len(ticks) <= 6:
        axes.set_xticks(sorted(set(values)), [shown(value) for value in sorted(set(values))])
        axes.minorticks_off()


def _counted(groups: Sequence[Group]) -> str:
    """Return how many runs a point averages, for the name of an axis; "" for single runs."""
    sizes = sorted({len(group.names) for group in groups})
    if sizes == [1]:
        return ""
    return f"\nmean ± sd, n = {sizes[0]}" + (f" to {sizes[-1]}" if len(sizes) > 1 else "")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
