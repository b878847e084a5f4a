"""Compute the sections of `report.html` that run the model: latent walks, the explorer, the map."""

import html
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.latent.arithmetic import information_per_dimension
from jaxvae.report import figures
from jaxvae.report.choices import choice
from jaxvae.report.decoder import export
from jaxvae.report.maps import POINTS, latent_map, plane
from jaxvae.report.style import encode
from jaxvae.report.views import as_text, figure
from jaxvae.runs.attempts import Failure, attempt
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.tools import Outcome
from jaxvae.tools.imputation import impute
from jaxvae.tools.walks import interpolate, traverse

SLIDERS = 12
Shown = tuple[str, bytes | str]  # a caption, with a PNG or a text


def walks(run: TrainedRun, failures: list[Failure]) -> list[Shown]:
    """Return interpolations, traversals and imputations with captions; `failures` is extended by those that fail."""
    if not run.experiment.spec.sequence and not figures.are_images(run.model.data_shape):
        name = "The section on interpolation, traversal and imputation"
        failures.append(Failure(name, "the data does not consist of images."))
        return []
    tools: dict[str, Callable[[], Outcome]] = {
        "interpolate": lambda: interpolate(run, num=6),
        "traverse": lambda: traverse(run, num=10),
        "impute": lambda: _impute(run),
    }
    found = [attempt(f"'{name}'", failures, lambda name=name: _walk(run, name, tools[name])) for name in tools]
    return [one for one in found if one is not None]


def latent_space(run: TrainedRun, failures: list[Failure]) -> dict[str, Any]:
    """Return the data of the page's scripts, as JSON: "explorer" and "map", where the model supports them."""
    model = run.model
    if not model.latent.space.is_linear or len(run.dataset.test.x) <= 2:
        return {}
    makers: dict[str, Callable[[], dict[str, Any]]] = {"map": lambda: latent_map(run, failures)}
    if len(model.latent_shape) == 1 and model.latent_shape[0] > 1 and figures.are_images(model.data_shape):
        makers = {"explorer": lambda: _explorer(run)} | makers

    def checked(make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if not np.isfinite(run.codes("test")).all():
            raise UserError("some codes of the test set are NaN or infinite.")
        json.dumps(made := make(), allow_nan=False)
        return made

    found = {name: attempt(f"The {name}", failures, lambda make=make: checked(make)) for name, make in makers.items()}
    return {name: one for name, one in found.items() if one is not None}


def titled(text: str) -> tuple[str, str]:
    """Split a text file into its title and its body."""
    title, _, body = text.partition("\n\n")
    return title, body.rstrip()


def _walk(run: TrainedRun, name: str, tool: Callable[[], Outcome]) -> Shown:
    outcome = tool()
    title = f"{name}: {outcome.title}"
    spec, labels = run.experiment.spec, outcome.labels
    made = figure(spec, outcome.rows, "", outcome.rows.shape[1], labels)
    if made is not None:
        return title, encode(made, dpi=figures.SHEET_DPI)
    return titled(as_text(run.config, spec, outcome.rows, title, labels))


def _impute(run: TrainedRun) -> Outcome:
    options: dict[str, Any] = {"mask": "middle", "num": 12, "chains": 4, "steps": 100, "burn_in": 50, "nll_samples": 0}
    try:
        return impute(run, **options)
    except UserError:  # a posterior without a density, say
        return impute(run, method="pseudo_gibbs", **options)


def _explorer(run: TrainedRun) -> dict[str, Any]:
    centre, axes, spans = plane(run)
    codes, batch = run.codes("test"), run.batch("test", run.some("test", POINTS))
    found = information_per_dimension(run.model, run.params, **batch)
    measured, in_nats = map(np.asarray, found)
    low, high = np.minimum(codes.min(axis=0), -3), np.maximum(codes.max(axis=0), 3)
    if len(centre) == 2:  # the plane is all of z
        spans = np.maximum(-low, high)
    sliders = [
        {"index": int(i), "low": float(low[i]), "high": float(high[i]),
         "about": f"{measured[i]:.2f} {'nats' if in_nats else 'variance'}"}
        for i in np.argsort(-measured, stable=True)[:SLIDERS]
    ]  # fmt: skip
    at = choice(run)
    decoder = export(run, centre, axes, spans, sliders, at)
    if decoder["kind"] == "grid":
        at = at._replace(chosen=()) if decoder["contexts"] == 1 else at.of_classes()
    lines = decoder.get("lines")
    return {
        "shape": list(run.model.data_shape), "centre": centre.tolist(), "axes": axes.tolist(),
        "spans": spans.tolist(), "decoder": decoder, "sliders": sliders[: lines["count"]] if lines else sliders,
        "contexts": at.as_json(), "held": at.held(),
    }  # fmt: skip


def explained(explorer: Mapping[str, Any]) -> str:
    """Explain what the explorer shows, in HTML, for its JSON."""
    decoder, held = explorer["decoder"], explorer["held"]
    at = f" The context is that of the first test example: {html.escape(held)}." if held else ""
    if decoder["kind"] == "weights":
        return f"The decoder itself runs in this page.{at}"
    side, lines = decoder["side"], decoder["lines"]
    more = ""
    if lines:
        more = f", and {lines['points']} points along each slider, which moves its dimension alone from the mean code"
    return (
        f"The pictures were decoded when this page was made: a grid of {side} by {side} points of the plane{more}. "
        f"Between these points the page interpolates; halfway, pixels are {decoder['error']:.2%} of their range off on "
        f"average.{at}"
    )
