"""Write a comparison: text, CSV, figures and a page that opens offline."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from jaxvae.common.errors import UserError, unknown
from jaxvae.report.comparison import charts
from jaxvae.report.comparison.read import Found, read
from jaxvae.report.comparison.table import (
    Comparison,
    as_text,
    cells,
    compare,
    footnotes,
    groups_csv,
    metric_label,
    runs_csv,
)
from jaxvae.report.palette import MOST_CURVES
from jaxvae.report.pictures import png_uri
from jaxvae.report.style import encode, save
from jaxvae.report.text import left_out, page, paragraphs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OF_BOUND = ("nll", "elbo", "loss")  # the first that the runs have is drawn against the setting
OF_PARTS = ("reconstruction", "kl")


class Written(NamedTuple):
    """The table with the names of the files, and a sentence for each folder that could not be compared."""

    text: str
    refused: list[str]


def write(folders: Sequence[str], out: Path, metrics: Sequence[str] = (), key: str = "", kind: str = "png") -> Written:
    """Compare runs and write the files of the comparison.

    Args:
      folders: of the runs.
      out: the folder to write: `runs.csv`, `summary.csv`, `comparison.txt`, `comparison.html` and the figures.
      metrics: flat names of the metrics that are drawn against a setting; () for the bound on log p(x) and its parts.
      key: that setting; "" for the one with most values.
      kind: format of the figures beside PNG.

    Returns:
      What to print.

    Raises:
      UserError: no folder holds a finished run, or an unknown metric or setting; nothing is written.
    """
    found = read(folders)
    if not found.entries:
        raise UserError(f"There is nothing to compare. {' '.join(found.refused)}")
    comparison = compare(found.entries)
    figures = _figures(comparison, found, _metrics(comparison, metrics), _key(comparison, key))
    out.mkdir(parents=True, exist_ok=True)
    table = as_text(comparison)
    texts = {
        "comparison.html": _page(comparison, found.refused, [(encode(one), text) for one, text in figures.values()]),
        "comparison.txt": f"{table}\n",
        "runs.csv": runs_csv(comparison),
        "summary.csv": groups_csv(comparison),
    }
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8", errors="backslashreplace")
    drawn = [path.name for name, (one, _) in figures.items() for path in save(one, out / name, kind)]
    return Written(f"{table}\nwrote {out}/: {', '.join([*texts, *drawn])}", found.refused)


def _metrics(comparison: Comparison, asked: Sequence[str]) -> list[str]:
    for name in asked:
        if name not in comparison.metrics:
            raise unknown("metric", name, comparison.metrics)
    bound = [name for name in OF_BOUND if all(name in group.metrics for group in comparison.groups)][:1]
    return list(asked) or bound + [name for name in OF_PARTS if name in comparison.metrics]


def _key(comparison: Comparison, asked: str) -> str | None:
    if asked and asked not in comparison.settings:
        raise unknown("setting that differs", asked, comparison.settings)
    return asked or charts.main_setting(comparison)


def _figures(
    comparison: Comparison, found: Found, metrics: Sequence[str], key: str | None
) -> dict[str, tuple["Figure", str]]:
    """Return `{file: (figure, caption)}`."""
    cut = f", the first {MOST_CURVES} of {len(comparison.groups)}" if len(comparison.groups) > MOST_CURVES else ""
    text = f"Loss and its parts by epoch, on the validation data (else on the training data); a line for each run{cut}."
    made = {"curves": (charts.curves(comparison, found.logs), text)}
    for name in metrics if key else ():
        text = f"{metric_label(name)} against {key}: mean and standard deviation over the seeds."
        made[name] = charts.against(comparison, name, str(key)), text
    return {name: (one, text) for name, (one, text) in made.items() if one is not None}


def _page(comparison: Comparison, refused: Sequence[str], pictures: Sequence[tuple[bytes, str]]) -> str:
    def row(kind: str, values: Sequence[str]) -> str:
        return "".join(f"<{kind}>{html.escape(value)}</{kind}>" for value in values)

    head, *rows = cells(comparison)
    body = "".join(f"<tr>{row('th', one[:1])}{row('td', one[1:])}</tr>" for one in rows)
    image = '<figure><img alt="{0}" src="{1}"><figcaption>{0}</figcaption></figure>'
    return page(
        "comparison.html",
        title=f"{len(comparison.entries)} runs compared",
        table=f"<table><thead><tr>{row('th', head)}</tr></thead><tbody>{body}</tbody></table>",
        notes=paragraphs("quiet", footnotes(comparison)),
        figures="".join(image.format(html.escape(text), png_uri(data)) for data, text in pictures),
        left_out=left_out(refused),
    )
