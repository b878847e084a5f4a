"""Build the table of a comparison from settings and metrics: pure functions, rows in, table out."""

import csv
import io
import math
from collections.abc import Hashable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any, NamedTuple

from jaxvae.evaluation.labels import label
from jaxvae.experiment.changes import ASKED, PLACES

MEASURED_BY = ("evaluate", "sample")  # sections that the numbers of a trained run depend on
# Settings that change no number of a run but by rounding, or only choose which numbers there are; the name of data
# stands for its checksum, see `read.DataNames`.
WITHOUT_EFFECT = (
    *(place for place in PLACES if place != "data.name"), *(asked for asked in ASKED if asked not in MEASURED_BY),
    "evaluate.metrics", "evaluate.report", "evaluate.memory_mb", "evaluate.data", "train.steps_per_call",
)  # fmt: skip
SEED = "seed"
NATS = ("loss", "elbo", "reconstruction", "kl", "nll")  # metrics in nats per example
MISSING = "-"
LONGEST = 45  # characters of a group's settings in a figure; longer ones give way to the name of a run
WIDTH = 120  # characters of the text


class Entry(NamedTuple):
    """A run to compare.

    Attributes:
      name: its display name, unique.
      settings: its flat config, `{"train.batch_size": 128, ...}`.
      metrics: its flat finite numbers, `{"nll": 99.1, "collapse.kl": 24.9, ...}`.
    """

    name: str
    settings: Mapping[str, Any]
    metrics: Mapping[str, float]


class Mean(NamedTuple):
    """Mean of n values and their standard deviation with the divisor n - 1; None for a single value."""

    mean: float
    sd: float | None
    n: int


class Group(NamedTuple):
    """Runs that differ by seed alone.

    Attributes:
      names: of the runs.
      seeds: of the runs.
      settings: those that differ between the groups.
      metrics: the mean of each metric over the runs that have it.
    """

    names: tuple[str, ...]
    seeds: tuple[Any, ...]
    settings: dict[str, Any]
    metrics: dict[str, Mean]

    def label(self, without: str = "") -> str:
        """Return the settings that set this group apart, `without` one; its runs where these are none or too long."""
        last = [key.rpartition(".")[2] for key in self.settings]
        short = {key: end if last.count(end) == 1 else key for key, end in zip(self.settings, last, strict=True)}
        said = ", ".join(f"{short[key]}={shown(value)}" for key, value in self.settings.items() if key != without)
        more = f" and {len(self.names) - 1} more" if len(self.names) > 1 else ""
        return said if 0 < len(said) <= LONGEST else f"{next(iter(self.names))}{more}"


class Comparison(NamedTuple):
    """Runs, grouped.

    Attributes:
      entries: the runs, in the order given.
      groups: ordered by their settings.
      settings: keys of the settings that differ between the groups.
      metrics: names of all metrics, in the order in which they appear.
      notes: warnings.
    """

    entries: list[Entry]
    groups: list[Group]
    settings: list[str]
    metrics: list[str]
    notes: list[str]


def compare(entries: Sequence[Entry]) -> Comparison:
    """Group runs that differ by seed alone, and average their metrics.

    Where two runs have the same settings and the same seed, the later one is listed and left out of the mean: it is no
    further sample.
    """
    keys = differing([entry.settings for entry in entries])
    metrics = list(dict.fromkeys(name for entry in entries for name in entry.metrics))
    members: dict[Hashable, dict[Any, Entry]] = {}
    notes = []
    for entry in entries:
        of_group = members.setdefault(tuple(_hashable(entry.settings.get(key)) for key in keys), {})
        seed = entry.settings.get(SEED)
        if seed in of_group:
            twin = of_group[seed].name
            notes.append(f"'{entry.name}' has the settings and the seed of '{twin}', and does not count in the mean.")
        else:
            of_group[seed] = entry
    groups = [_group(list(runs.values()), keys, metrics) for runs in members.values()]
    groups.sort(key=lambda group: [_order(value) for value in group.settings.values()])
    return Comparison(list(entries), groups, keys, metrics, notes)


def differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys whose values differ, without the seed and WITHOUT_EFFECT; a missing key counts as a value."""
    keys = list(dict.fromkeys(key for each in settings for key in each))
    counted = [
        key for key in keys if key != SEED and not any(key == no or key.startswith(f"{no}.") for no in WITHOUT_EFFECT)
    ]
    return [key for key in counted if len({_hashable(each.get(key)) for each in settings}) > 1]


def mean_of(values: Sequence[float]) -> Mean:
    """Average at least one value."""
    return Mean(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


def cells(comparison: Comparison) -> list[list[str]]:
    """Return the table as text cells: a row for each setting and each metric, a column for each group."""
    groups = comparison.groups
    names = [group.names[0] if len(group.names) == 1 else f"mean of {len(group.names)} runs" for group in groups]
    rows = [["run", *names]]
    if len({group.seeds for group in groups}) > 1 or any(len(group.seeds) > 1 for group in groups):
        rows.append(["seed", *(", ".join(map(shown, group.seeds)) for group in groups)])
    rows += [[key, *(shown(group.settings[key]) for group in groups)] for key in comparison.settings]
    for name in comparison.metrics:
        rows.append([metric_label(name), *(_cell(group, name) for group in groups)])
    return rows


def as_text(comparison: Comparison, width: int = WIDTH) -> str:
    """Format the table for a terminal, in blocks of as many columns as fit."""
    table = cells(comparison)
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    blocks, first = [], 1
    while first < len(widths):
        last = first + 1
        while last < len(widths) and widths[0] + sum(w + 2 for w in widths[first : last + 1]) <= width:
            last += 1
        lines = [
            row[0].ljust(widths[0]) + "".join(f"  {row[i].rjust(widths[i])}" for i in range(first, last))
            for row in table
        ]
        blocks.append("\n".join(line.rstrip() for line in lines))
        first = last
    return "\n".join(["\n\n".join(blocks), *(f"note: {note}" for note in footnotes(comparison))])


def footnotes(comparison: Comparison) -> list[str]:
    """Return the sentences below the table: its units, what is averaged, and the warnings."""
    notes = [f"{', '.join(named)}: nats per example."] if (named := _in_nats(comparison.metrics)) else []
    if any(len(group.names) > 1 for group in comparison.groups):
        notes.append("Mean ± standard deviation over runs that differ by seed alone (divisor n - 1).")
    return notes + comparison.notes


def runs_csv(comparison: Comparison) -> str:
    """Return CSV with a row for each run: its name, seed, the settings that differ, the metrics."""
    keys, metrics = comparison.settings, comparison.metrics
    rows: list[list[Any]] = [["run", SEED, *keys, *metrics]]
    for entry in comparison.entries:
        settings = [_plain(entry.settings.get(key)) for key in (SEED, *keys)]
        rows.append([entry.name, *settings, *(entry.metrics.get(name, "") for name in metrics)])
    return _csv(rows)


def groups_csv(comparison: Comparison) -> str:
    """Return CSV with a row for each group: the settings that differ, n, and mean, sd and n of each metric."""
    keys = comparison.settings
    rows = [[*keys, "runs", *(f"{name}{of}" for name in comparison.metrics for of in ("", " sd", " n"))]]
    for group in comparison.groups:
        row = [*(_plain(group.settings[key]) for key in keys), len(group.names)]
        for name in comparison.metrics:
            found = group.metrics.get(name)
            row += [found.mean, "" if found.sd is None else found.sd, found.n] if found else ["", "", 0]
        rows.append(row)
    return _csv(rows)


def metric_label(name: str) -> str:
    """Return the display name of a flat metric: "NLL", "collapse: active units"."""
    metric, _, part = name.partition(".")
    return label(metric, part)


def shown(value: Any) -> str:
    """Format the value of a setting; a dash where a run does not have it."""
    if value is None:
        return MISSING
    return f"{value:g}" if isinstance(value, float) else repr(value) if value == "" else str(value)


def _in_nats(metrics: Sequence[str]) -> list[str]:
    return [metric_label(name) for name in metrics if name in NATS]


def _group(runs: Sequence[Entry], keys: Sequence[str], metrics: Sequence[str]) -> Group:
    values = {name: [run.metrics[name] for run in runs if name in run.metrics] for name in metrics}
    return Group(
        tuple(run.name for run in runs),
        tuple(run.settings.get(SEED) for run in runs),
        {key: runs[0].settings.get(key) for key in keys},
        {name: mean_of(found) for name, found in values.items() if found},
    )


def _cell(group: Group, name: str) -> str:
    found = group.metrics.get(name)
    if found is None:
        return MISSING
    of = f" (n={found.n})" if found.n != len(group.names) else ""
    if found.sd is None:
        return (f"{found.mean:,.0f}" if found.mean == int(found.mean) else f"{found.mean:,.3f}") + of
    if found.sd == 0 and found.mean == int(found.mean):  # a count that no seed changes
        return f"{found.mean:,.0f}{of}"
    return f"{found.mean:,.3f} ± {found.sd:.3f}{of}"


def _hashable(value: Any) -> Hashable:
    return tuple(map(_hashable, value)) if isinstance(value, (list, tuple)) else value


def _order(value: Any) -> tuple[int, float, str]:
    """Order missing values first, then numbers, then texts."""
    if value is None:
        return 0, 0.0, ""
    is_number = isinstance(value, (int, float)) and math.isfinite(value)
    return (1, float(value), "") if is_number else (2, 0.0, str(value))


def _plain(value: Any) -> Any:
    return "" if value is None else value


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
