"""`report.html`: one file that shows a run to a person, and opens without a network."""

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from PIL import Image

from jaxvae import figures
from jaxvae.errors import UserError
from jaxvae.latents import order_dimensions
from jaxvae.page.decoder import export
from jaxvae.posteriors import EUCLIDEAN
from jaxvae.results import label
from jaxvae.subject import Subject
from jaxvae.tools import TOOLS, sheet

POINTS = 1000  # of the map
SLIDERS = 12
COLORS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
CAPTIONS = {
    "curves": "Loss and its parts by epoch.",
    "samples": "Samples: the decoder's means for z drawn from the prior.",
    "reconstructions": "Test data, each row above its reconstructions.",
    "latent_scatter": "Posterior means of the test set.",
    "latent_grid": "The decoder's means over the prior's quantiles.",
    "rate_distortion": "Rate against distortion of the prior and the decoder.",
}


def write_report(path: Path, subject: Subject, results: Mapping[str, Any], pictures: Sequence[Path]) -> None:
    """Writes the page.

    Args:
      path: where to.
      subject: the run.
      results: what `results.json` holds.
      pictures: PNG files to show, in this order; those that CAPTIONS names get a caption.
    """
    config, model = subject.config, subject.model
    parts = [config["model"][kind]["name"] for kind in ("posterior", "prior", "likelihood")]
    parts += [config["network"]["name"], config["objective"]["name"]]
    used = results["checkpoint"]
    shown = [(CAPTIONS.get(p.stem, p.stem), p.read_bytes()) for p in pictures if p.exists()]
    shown += _walks(subject)
    data: dict[str, Any] = {}
    explorer = mapped = ""
    if model.posterior.space == EUCLIDEAN and len(subject.dataset.test.x) > 2:
        if len(model.latent_shape) == 1 and model.latent_shape[0] > 1 and figures.are_images(model.data_shape):
            data["explorer"] = _explorer(subject)
            explorer = _asset("explorer.html")
        data["map"] = _map(subject)
        mapped = _asset("map.html")
    page = Template(_asset("template.html")).substitute(
        name=html.escape(config["name"]),
        style=_asset("style.css"),
        parts=html.escape(" · ".join(parts)) + f" · {int(np.prod(model.latent_shape))} latent variables",
        origin=html.escape(
            f"data {subject.dataset.name}, {len(subject.dataset.train.x):,} training and "
            f"{len(subject.dataset.test.x):,} test examples · checkpoint '{used['which']}', step {used['step']:,} · "
            f"{results['num_parameters']:,} parameters · seed {config['seed']}"
        ),
        warnings="".join(f'<p class="warning">{html.escape(text)}</p>' for text in _warnings(results)),
        tables=_tables(results),
        notes="".join(f'<p class="quiet">{html.escape(note)}</p>' for note in results["notes"]),
        explorer=explorer,
        map=mapped,
        figures=_figures(shown),
        # "</" would end the script
        data=json.dumps(data, allow_nan=False, separators=(",", ":")).replace("</", "<\\/"),
        script=_asset("explorer.js"),
    )
    scratch = path.with_suffix(".tmp")
    scratch.write_text(page, encoding="utf-8")
    scratch.replace(path)


def _asset(name: str) -> str:
    return resources.files("jaxvae.page").joinpath(name).read_text(encoding="utf-8")


def _warnings(results: Mapping[str, Any]) -> list[str]:
    return [values["warning"] for values in results["metrics"].values() if values.get("warning")]


def _tables(results: Mapping[str, Any]) -> str:
    tables = {"test set, nats per example": results["test"], **results["metrics"]}
    out = []
    for name, values in tables.items():
        numbers = {key: value for key, value in values.items() if isinstance(value, (int, float))}
        rows = "".join(
            f"<tr><td>{html.escape(label(key))}</td><td>{_number(value)}</td></tr>" for key, value in numbers.items()
        )
        if rows:
            out.append(f"<table><caption>{html.escape(label(name))}</caption>{rows}</table>")
    return "".join(out)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"


def _figures(shown: Sequence[tuple[str, bytes]]) -> str:
    if not shown:
        return ""
    figure = '<figure><img alt="{0}" src="{1}"><figcaption>{0}</figcaption></figure>'
    made = (figure.format(html.escape(caption), _png_uri(data)) for caption, data in shown)
    return f"<section><h2>Pictures</h2>{''.join(made)}</section>"


def _walks(subject: Subject) -> list[tuple[str, bytes]]:
    """Interpolations, traversals and imputations, as far as the model knows them."""
    found = []
    asked: dict[str, dict[str, Any]] = {
        "interpolate": {"num": 6},
        "traverse": {"num": 10},
        "impute": {"num": 12, "chains": 4, "steps": 100, "burn_in": 50, "nll_samples": 0},
    }
    for name, options in asked.items():
        try:
            outcome = TOOLS[name](subject, **options)
        except UserError:  # what this model cannot do is not shown
            continue
        picture = sheet(outcome.rows)
        if picture is not None:
            found.append((f"{name}: {outcome.title}", _png(np.kron(picture, np.ones((2, 2, 1), np.uint8)))))
    return found


def _plane(subject: Subject) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`(centre [D], axes [2, D], spans [2])`: where the codes of the test set vary most; z itself where D is 2."""
    codes = subject.codes("test")
    if codes.shape[1] == 2:
        return np.zeros(2), np.eye(2), np.maximum(np.abs(codes).max(axis=0), 1e-3)
    centre = codes.mean(axis=0)
    _, _, axes = np.linalg.svd(codes[:5000] - centre, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2].sum(axis=1, keepdims=True) + 1e-12)
    return centre, axes, np.maximum(np.abs((codes - centre) @ axes.T).max(axis=0), 1e-3)


def _explorer(subject: Subject) -> dict[str, Any]:
    centre, axes, spans = _plane(subject)
    codes = subject.codes("test")
    decoder = export(subject, centre, axes, spans)
    sliders = []
    if decoder["kind"] == "weights":
        order = np.asarray(order_dimensions(subject.model, subject.params, subject.x("test", POINTS)))[:SLIDERS]
        low, high = np.minimum(codes.min(axis=0), -3), np.maximum(codes.max(axis=0), 3)
        sliders = [{"index": int(i), "low": float(low[i]), "high": float(high[i])} for i in order]
    return {
        "shape": list(subject.model.data_shape), "centre": centre.tolist(), "axes": axes.tolist(),
        "spans": spans.tolist(), "decoder": decoder, "sliders": sliders,
    }  # fmt: skip


def _map(subject: Subject) -> dict[str, Any]:
    """Test examples in the plane: z itself where it has 2 dimensions, else by principal components and by t-SNE."""
    from sklearn.manifold import TSNE  # its import costs half a second: only where it is used

    codes = subject.codes("test")[:POINTS].astype(np.float64)
    label = subject.dataset.test.label
    centre, axes, _ = _plane(subject)
    flat = (codes - centre) @ axes.T if codes.shape[1] > 1 else np.column_stack([codes, np.zeros(len(codes))])
    maps = [{"name": "z" if codes.shape[1] <= 2 else "principal components", "points": np.round(flat, 4).tolist()}]
    if codes.shape[1] > 2 and len(codes) > 10:
        perplexity = min(30.0, (len(codes) - 1) / 3)
        found = TSNE(perplexity=perplexity, init="pca", random_state=0, n_jobs=1).fit_transform(codes)
        maps.append({"name": "t-SNE", "points": np.round(found.astype(float), 3).tolist()})
    out: dict[str, Any] = {"maps": maps, "colors": list(COLORS), "labels": None, "names": []}
    if label is not None:
        names, index = np.unique(label[:POINTS], return_inverse=True)
        out |= {"labels": index.tolist(), "names": [str(name) for name in names]}
    columns = 40
    if figures.are_images(subject.model.data_shape):
        pictures = figures.as_pictures(subject.unit(subject.x("test", POINTS)))
    else:
        pictures = np.full((len(codes), 1, 1, 3), 255, np.uint8)
    sprite = _png(figures.tile(pictures, columns, gap=0))
    return out | {"thumbs": _png_uri(sprite), "thumb": list(pictures.shape[1:3]), "columns": columns}


def _png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png")
    return buffer.getvalue()


def _png_uri(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"
