"""`report.html`: one file that shows a run to a person, and opens without a network."""

import html
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.evaluation.results import label
from jaxvae.latent.arithmetic import order_dimensions
from jaxvae.report import figures
from jaxvae.report.decoder import export
from jaxvae.report.maps import POINTS, latent_map, plane
from jaxvae.report.pictures import png, png_uri
from jaxvae.report.views import as_text, sheet
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.tools import Outcome
from jaxvae.tools.repair import impute
from jaxvae.tools.walks import interpolate, traverse

SLIDERS = 12
CAPTIONS = {
    "curves": "Loss and its parts by epoch.",
    "samples": "Samples: what the decoder makes of z drawn from the prior.",
    "reconstructions": "Test data, each row above its reconstructions.",
    "latent_scatter": "Posterior means of the test set.",
    "latent_grid": "The decoder's means over the prior's quantiles.",
    "rate_distortion": "Rate against distortion of the prior and the decoder.",
}


def write_report(path: Path, run: TrainedRun, results: Mapping[str, Any], pictures: Sequence[Path]) -> None:
    """Writes the page.

    Args:
      path: where to.
      run: the run.
      results: what `results.json` holds.
      pictures: PNG and text files to show, in this order; those that CAPTIONS names get a caption.
    """
    config, model = run.config, run.model
    parts = [config["model"][kind]["name"] for kind in ("posterior", "prior", "likelihood")]
    parts += [config["network"]["name"], config["objective"]["name"]]
    used = results["checkpoint"]
    shown: list[tuple[str, bytes | str]] = [
        (CAPTIONS.get(p.stem, p.stem), p.read_bytes()) for p in pictures if p.suffix == ".png" and p.exists()
    ]
    shown += [_of_text(p.read_text(encoding="utf-8")) for p in pictures if p.suffix == ".txt"]
    walks, left_out = _walks(run)
    data: dict[str, Any] = {}
    explorer = mapped = ""
    if model.latent.space.is_linear and len(run.dataset.test.x) > 2:
        if not np.isfinite(run.codes("test")).all():
            left_out.append("The explorer and the maps were left out: some codes of the test set are NaN or infinite.")
        else:
            if len(model.latent_shape) == 1 and model.latent_shape[0] > 1 and figures.are_images(model.data_shape):
                try:
                    data["explorer"] = _explorer(run)
                    explorer = _asset("explorer.html")
                except UserError as error:
                    left_out.append(str(error))
            data["map"], no_maps = latent_map(run)
            left_out += no_maps
            mapped = _asset("map.html")
    warnings = [str(values["warning"]) for values in results["metrics"].values() if values.get("warning")]
    notes = [note for note in results["notes"] if note not in warnings]  # each is said once
    page = Template(_asset("template.html")).substitute(
        name=html.escape(config["name"]),
        style=_asset("style.css"),
        parts=html.escape(" · ".join(parts)) + f" · {int(np.prod(model.latent_shape))} latent variables",
        origin=html.escape(
            f"data {run.dataset.name}, {len(run.dataset.train.x):,} training and "
            f"{len(run.dataset.test.x):,} test examples · checkpoint '{used['which']}', step {used['step']:,} · "
            f"{results['num_parameters']:,} parameters · seed {config['seed']}"
        ),
        warnings=_paragraphs("warning", warnings),
        tables=_tables(results),
        notes=_paragraphs("quiet", notes),
        explorer=explorer,
        map=mapped,
        figures=_figures(shown + walks),
        left_out=f"<section><h2>Left out</h2>{_paragraphs('quiet', left_out)}</section>" if left_out else "",
        # "</" would end the script, and "<!--" begin what does not end with it
        data=json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        script=_asset("explorer.js"),
    )
    scratch = path.with_suffix(".tmp")
    scratch.write_text(page, encoding="utf-8", errors="backslashreplace")  # a path need not be UTF-8
    scratch.replace(path)


def _asset(name: str) -> str:
    return resources.files("jaxvae.report").joinpath(name).read_text(encoding="utf-8")


def _paragraphs(style: str, texts: Sequence[str]) -> str:
    return "".join(f'<p class="{style}">{html.escape(text)}</p>' for text in texts)


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


def _figures(shown: Sequence[tuple[str, bytes | str]]) -> str:
    """Captions, with a PNG or a text each."""
    if not shown:
        return ""
    image, text = '<img alt="{0}" src="{1}">', '<pre tabindex="0" aria-label="{0}">{1}</pre>'
    figure, made = "<figure>{1}<figcaption>{0}</figcaption></figure>", []
    for caption, data in shown:
        name = html.escape(caption)
        what = text.format(name, html.escape(data)) if isinstance(data, str) else image.format(name, png_uri(data))
        made.append(figure.format(name, what))
    heading = "Pictures and texts" if any(isinstance(data, str) for _, data in shown) else "Pictures"
    return f"<section><h2>{heading}</h2>{''.join(made)}</section>"


def _of_text(text: str) -> tuple[str, str]:
    """Its title and what follows."""
    title, _, body = text.partition("\n\n")
    return title, body.rstrip()


def _walks(run: TrainedRun) -> tuple[list[tuple[str, bytes | str]], list[str]]:
    """Interpolations, traversals and imputations, as far as the model knows them; and what is left out."""
    spec = run.experiment.spec
    if not spec.sequence and not figures.are_images(run.model.data_shape):
        return [], ["Interpolation, traversal and imputation were left out: the data is not made of images."]
    found: list[tuple[str, bytes | str]] = []
    left_out: list[str] = []
    asked: dict[str, Callable[[], Outcome]] = {
        "interpolate": lambda: interpolate(run, num=6),
        "traverse": lambda: traverse(run, num=10),
        "impute": lambda: _impute(run),
    }
    for name, tool in asked.items():
        try:
            outcome = tool()
        except UserError as error:
            left_out.append(f"'{name}' was left out: {error}")
            continue
        title = f"{name}: {outcome.title}"
        picture = sheet(spec, outcome.rows, outcome.rows.shape[1])
        if picture is not None:
            found.append((title, png(np.kron(picture, np.ones((2, 2, 1), np.uint8)))))
        else:
            found.append(_of_text(as_text(run.config, spec, outcome.rows, title)))
    return found, left_out


def _impute(run: TrainedRun) -> Outcome:
    options: dict[str, Any] = {"num": 12, "chains": 4, "steps": 100, "burn_in": 50, "nll_samples": 0}
    try:
        return impute(run, method="metropolis", **options)
    except UserError:  # a posterior without a density, say
        return impute(run, method="pseudo_gibbs", **options)


def _explorer(run: TrainedRun) -> dict[str, Any]:
    centre, axes, spans = plane(run)
    codes = run.codes("test")
    decoder = export(run, centre, axes, spans)
    sliders = []
    if decoder["kind"] == "weights":
        x = run.x("test", run.some("test", POINTS))
        order = np.asarray(order_dimensions(run.model, run.params, x))[:SLIDERS]
        low, high = np.minimum(codes.min(axis=0), -3), np.maximum(codes.max(axis=0), 3)
        sliders = [{"index": int(i), "low": float(low[i]), "high": float(high[i])} for i in order]
    return {
        "shape": list(run.model.data_shape), "centre": centre.tolist(), "axes": axes.tolist(),
        "spans": spans.tolist(), "decoder": decoder, "sliders": sliders,
    }  # fmt: skip
