"""What a run leaves when it is done: results.json, a short table, pictures, report.html; and what other modes write."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxvae import figures, tools, train
from jaxvae.build import DataSpec
from jaxvae.data import to_unit_range
from jaxvae.errors import UserError
from jaxvae.experiment import Experiment
from jaxvae.model import reconstruct, sample
from jaxvae.page import write_report
from jaxvae.parts import part
from jaxvae.results import evaluate, table
from jaxvae.subject import Subject
from jaxvae.types import Params
from jaxvae.workdir import read_metrics, write_json

PICTURES = 64
RECONSTRUCTIONS = "test data, each row above its reconstructions"


def finish(subject: Subject, workdir: Path, timing: Mapping[str, Any]) -> None:
    """Evaluates on the test set, writes `results.json` with the `timing` of training, `figures/` and `report.html`.

    Raises:
      UserError: a metric that does not fit the run, before anything is written; one that turns out not to, afterwards.
    """
    clock = time.perf_counter()
    results, refused = evaluate(subject)
    if jax.process_index() == 0:
        _write(subject, workdir, results, timing, clock)
    if refused:
        raise UserError(f"{' '.join(refused)} The other numbers are in {workdir / 'results.json'}.")


def _write(subject: Subject, workdir: Path, results: dict[str, Any], timing: Mapping[str, Any], clock: float) -> None:
    results |= {**timing, "evaluate_seconds": time.perf_counter() - clock}
    write_json(workdir / "results.json", results)
    print(table(results))
    written = draw(subject, results, workdir)
    page = ""
    if subject.config["evaluate"]["report"]:
        write_report(workdir / "report.html", subject, results, [workdir / "figures" / name for name in written])
        page = "report.html, "
    files = f"results.json, {page}metrics.jsonl, config.json, checkpoints/, tensorboard/, figures/"
    print(f"wrote {workdir}/: {files} ({', '.join(written)})")


def sheets(experiment: Experiment, params: Params) -> dict[str, np.ndarray]:
    """Pictures of samples and of reconstructions beside their inputs; `{}` where the data is not made of images.

    The latents of the samples are the same at every call, so that one sees how training changes what they become.
    """
    config, split = experiment.config, experiment.dataset.test
    key = train.streams(config["seed"])["sample"]
    if not figures.are_images(experiment.dataset.shape):
        return {}
    drawn = figures.as_pictures(_unit(config, experiment.spec, sample(experiment.model, params, key, PICTURES)))
    x, reconstruction = _reconstructions(experiment, params, split.x[:PICTURES])
    pairs = figures.beside(figures.as_pictures(x), figures.as_pictures(reconstruction))
    return {"samples": figures.tile(drawn, 8), "reconstructions": pairs}


def draw(subject: Subject, results: Mapping[str, Any], workdir: Path) -> list[str]:
    """Everything in `figures/`, of the run and of its results; returns the names of the files."""
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    model = subject.model
    written = ["curves.png"]
    figures.save_curves(folder / "curves.png", read_metrics(workdir))
    titles = {"samples": "samples from the prior", "reconstructions": RECONSTRUCTIONS}
    for name, sheet in sheets(subject.experiment, subject.params).items():
        figures.save_sheet(folder / f"{name}.png", sheet, titles[name])
        written.append(f"{name}.png")
    if model.latent_shape == (2,):
        figures.save_latent_scatter(folder / "latent_scatter.png", subject.codes("test"), subject.dataset.test.label)
        written.append("latent_scatter.png")
        grid = figures.latent_grid(model, subject.params) if figures.are_images(model.data_shape) else None
        if grid is not None:
            sheet = figures.tile(figures.as_pictures(subject.unit(grid)), 20, gap=0)
            title = "decoder means over the prior's quantiles of z[0] (right) and z[1] (up)"
            figures.save_sheet(folder / "latent_grid.png", sheet, title)
            written.append("latent_grid.png")
    curve = results["metrics"].get("rate_distortion", {})
    if curve and None not in curve.values():  # what is not finite is no line
        figures.save_rate_distortion(folder / "rate_distortion.png", curve)
        written.append("rate_distortion.png")
    return written


def write_samples(workdir: Path, config: Mapping[str, Any], spec: DataSpec, x: Any, sampler: str) -> None:
    """`--mode=sample`: `samples.npz` with "x" in [0, 1], and its picture."""
    title = "samples from the prior" if sampler == "prior" else f"samples, z by '{sampler}'"
    _write_arrays(workdir, "samples", title, x=_unit(config, spec, x))


def write_reconstructions(experiment: Experiment, workdir: Path, params: Params) -> None:
    """`--mode=reconstruct`: `reconstructions.npz` with "x" and "reconstruction" in [0, 1], and its picture."""
    raw = experiment.dataset.test.x[: experiment.config["sample"]["num"]]
    x, reconstruction = _reconstructions(experiment, params, raw)
    _write_arrays(workdir, "reconstructions", RECONSTRUCTIONS, x=x, reconstruction=reconstruction)


def write_tool(subject: Subject, workdir: Path) -> None:
    """`--mode=tool`: what the tool of the settings finds, in `tools/NAME.npz`, `.json` and `.png`."""
    spec = subject.config["tool"]
    found = part("tool", spec, {"subject": subject}, {"tool": tools.TOOLS})()
    if jax.process_index() != 0:
        return
    folder = workdir / "tools"
    folder.mkdir(exist_ok=True)
    path = folder / spec["name"]
    np.savez(path.with_suffix(".npz"), allow_pickle=False, **found.arrays)
    write_json(path.with_suffix(".json"), {"tool": tools.resolved(spec), **found.numbers})
    for name, value in found.numbers.items():
        print(f"  {name.replace('_', ' '):<40}{value:10.4f}")
    sheet = tools.sheet(found.rows)
    if sheet is not None:
        figures.save_sheet(path.with_suffix(".png"), sheet, found.title)
    print(f"wrote {path}: .npz, .json{'' if sheet is None else ', .png'}")


def _write_arrays(workdir: Path, name: str, title: str, **arrays: np.ndarray) -> None:
    if jax.process_index() != 0:
        return
    np.savez(workdir / f"{name}.npz", allow_pickle=False, **arrays)
    written = [workdir / f"{name}.npz"]
    if figures.are_images(next(iter(arrays.values())).shape[1:]):
        pictures = [figures.as_pictures(x) for x in arrays.values()]
        sheet = figures.tile(pictures[0], 8) if len(pictures) == 1 else figures.beside(pictures[0], pictures[1])
        written.append(workdir / "figures" / f"{name}.png")
        written[-1].parent.mkdir(exist_ok=True)
        figures.save_sheet(written[-1], sheet, title)
    print(f"wrote {', '.join(map(str, written))}")


def _unit(config: Mapping[str, Any], spec: DataSpec, x: Any) -> np.ndarray:
    return np.asarray(to_unit_range(x, spec.pixel_range(config)))


def _reconstructions(experiment: Experiment, params: Params, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    key = jax.random.fold_in(train.streams(experiment.config["seed"])["test"], 0)
    x = experiment.preprocess(key, jax.numpy.asarray(raw))
    both = x, reconstruct(experiment.model, params, x)
    one, other = (_unit(experiment.config, experiment.spec, values) for values in both)
    return one, other
