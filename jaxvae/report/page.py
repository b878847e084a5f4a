"""Write `report.html`: a run in one self-contained page that opens offline."""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxvae.evaluation.labels import label
from jaxvae.report.made_by import section
from jaxvae.report.pictures import within
from jaxvae.report.sections import Shown, explained, latent_space, titled, walks
from jaxvae.report.text import asset, left_out, page, paragraphs
from jaxvae.runs import going_on
from jaxvae.runs.attempts import Failure
from jaxvae.runs.trained_run import TrainedRun

LARGEST = 5_000_000  # bytes of the page
TEXTS = 200_000  # bytes of its texts, numbers and scripts, with room to spare
CAPTIONS = {
    "curves": "Loss and its parts by epoch.",
    "samples": "Samples: decoded latents, drawn by the sampler of the settings.",
    "reconstructions": "Test data, each row above its reconstructions.",
    "clusters": "Samples by cluster: each row from one component of the prior.",
    "latent_scatter": "Posterior means of the test set.",
    "latent_grid": "The decoder's means over the prior's quantiles.",
    "confusion": "Test examples by class and predicted class; shades are shares of a row.",
    "rate_distortion": "Rate against distortion of the prior and the decoder.",
    "posterior_calibration": "Ranks of the true z among draws of q(z|x), on data drawn from the model.",
}


def write_report(
    path: Path, run: TrainedRun, results: Mapping[str, Any], pictures: Sequence[Path], failures: list[Failure]
) -> bool:
    """Write the page. Sections that fail are listed at its end.

    Args:
      path: the file to write.
      run: the run.
      results: the content of `results.json`.
      pictures: PNG and text files to show, in this order; those that CAPTIONS names get a caption.
      failures: extended by the sections that are left out.

    Returns:
      True.
    """
    config, model, before = run.config, run.model, len(failures)
    parts = [config["model"][kind]["name"] for kind in ("posterior", "prior", "likelihood")]
    parts += [config["network"]["name"], config["objective"]["name"]]
    used = results["checkpoint"]
    shown: list[Shown] = [(CAPTIONS.get(p.stem, p.stem), p.read_bytes()) for p in pictures if p.suffix == ".png"]
    shown += [titled(p.read_text(encoding="utf-8")) for p in pictures if p.suffix == ".txt"]
    shown += walks(run, failures)
    data = latent_space(run, failures)
    # "</script" would end the script early, and "<!--" would hide its end
    embedded = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    warnings = [str(values["warning"]) for values in results["metrics"].values() if values.get("warning")]
    notes = [note for note in results["notes"] if note not in warnings]  # no duplicates
    text = page(
        "template.html",
        title=config["name"],
        parts=html.escape(" · ".join(parts)) + f" · {int(np.prod(model.latent_shape))} latent variables",
        origin=html.escape(
            f"data {run.dataset.name}, {len(run.dataset.train.x):,} training and "
            f"{len(run.dataset.test.x):,} test examples · checkpoint '{used['which']}', step {used['step']:,} · "
            f"{results['num_parameters']:,} parameters · seed {config['seed']}"
        ),
        warnings=paragraphs("warning", warnings),
        tables=_tables(results),
        notes=paragraphs("quiet", notes),
        explorer=asset("explorer.html", how=explained(data["explorer"])) if "explorer" in data else "",
        map=asset("map.html") if "map" in data else "",
        figures=_figures(shown, LARGEST - TEXTS - len(embedded)),
        settings=section(run, results, going_on.times(path.parent)),
        left_out=left_out([failure.note for failure in failures[before:]]),
        data=embedded,
        script=asset("explorer.js"),
    )
    scratch = path.with_suffix(".tmp")
    scratch.write_text(text, encoding="utf-8", errors="backslashreplace")  # a path need not be UTF-8
    scratch.replace(path)
    return True


def _tables(results: Mapping[str, Any]) -> str:
    tables = {"test set, nats per example": results["test"], **results["metrics"]}
    out = []
    for name, values in tables.items():
        cells = {
            key: value for key, value in values.items() if isinstance(value, (int, float, str)) and key != "warning"
        }
        rows = "".join(
            f"<tr><td>{html.escape(label(key))}</td><td>{_cell(value)}</td></tr>" for key, value in cells.items()
        )
        if rows:
            out.append(f"<table><caption>{html.escape(label(name))}</caption>{rows}</table>")
    return "".join(out)


def _cell(value: float | str) -> str:
    if isinstance(value, str):
        return html.escape(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"


def _figures(shown: Sequence[Shown], most: int) -> str:
    """Return the HTML of the figures, each a PNG or a text with its caption; the pictures have `most` bytes in all."""
    if not shown:
        return ""
    image, text = '<img alt="{0}" src="{1}">', '<pre tabindex="0" aria-label="{0}">{1}</pre>'
    figure, made = "<figure>{1}<figcaption>{0}</figcaption></figure>", []
    pictures = iter(within([data for _, data in shown if isinstance(data, bytes)], most))
    for caption, data in shown:
        name = html.escape(caption)
        what = text.format(name, html.escape(data)) if isinstance(data, str) else image.format(name, next(pictures))
        made.append(figure.format(name, what))
    heading = "Pictures and texts" if any(isinstance(data, str) for _, data in shown) else "Pictures"
    return f"<section><h2>{heading}</h2>{''.join(made)}</section>"
