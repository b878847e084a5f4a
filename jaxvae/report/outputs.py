"""What a run leaves when it is done: results.json, a short table, pictures, report.html; and what other modes write."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxvae import tools, train
from jaxvae.common.errors import UserError
from jaxvae.common.types import Params
from jaxvae.data.spec import DataSpec, viewed
from jaxvae.evaluation.results import evaluate, table
from jaxvae.experiment.own import short
from jaxvae.experiment.setup import Experiment
from jaxvae.latent.arithmetic import latent_grid
from jaxvae.models.sampling import reconstruct, sample
from jaxvae.report import figures, views
from jaxvae.report.page import write_report
from jaxvae.runs.log import read_metrics
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.runs.workdir import write_json

PICTURES, ROLLS = 64, 16
# Compiled once for a model, not at each picture of a training.
_sample, _reconstruct = jax.jit(sample, static_argnums=(0, 3)), jax.jit(reconstruct, static_argnums=0)
RECONSTRUCTIONS = "test data, each row above its reconstructions"


def finish(run: TrainedRun, workdir: Path, timing: Mapping[str, Any]) -> None:
    """Evaluates on the test set, writes `results.json` with the `timing` of training, `figures/` and `report.html`.

    Raises:
      UserError: a metric that does not fit the run, before anything is written; one that turns out not to, afterwards.
    """
    clock = time.perf_counter()
    results, refused = evaluate(run)
    if jax.process_index() == 0:
        _write(run, workdir, results, timing, clock)
    if refused:
        raise UserError(f"{' '.join(refused)} The other numbers are in {workdir / 'results.json'}.")


def _write(run: TrainedRun, workdir: Path, results: dict[str, Any], timing: Mapping[str, Any], clock: float) -> None:
    results |= {**timing, "evaluate_seconds": time.perf_counter() - clock}
    write_json(workdir / "results.json", results)
    print(table(results))
    written = draw(run, results, workdir)
    page = ""
    if run.config["evaluate"]["report"]:
        write_report(workdir / "report.html", run, results, [workdir / "figures" / name for name in written])
        page = "report.html, "
    files = f"results.json, {page}metrics.jsonl, config.json, checkpoints/, tensorboard/, figures/"
    print(f"wrote {workdir}/: {files} ({', '.join(written)})")


def examples(experiment: Experiment, params: Params) -> dict[str, np.ndarray]:
    """Samples `[N, 1, *data_shape]`, and reconstructions beside their inputs, `[N, 2, *data_shape]`, as viewed.

    The latents of the samples are the same at every call, so that one sees how training changes what they become.
    """
    key = train.streams(jax.random.key(experiment.config["seed"]))["sample"]
    num = ROLLS if experiment.spec.sequence == "music" else PICTURES
    drawn = _sample(experiment.shown, params, key, num)
    return {
        "samples": viewed(experiment.config, experiment.spec, drawn)[:, None],
        "reconstructions": _reconstructions(experiment, params, experiment.dataset.test.x[:num]),
    }


def sheets(experiment: Experiment, params: Params) -> dict[str, np.ndarray]:
    """The examples as pictures; `{}` where the data has none."""
    if experiment.spec.sequence != "music" and not figures.are_images(experiment.dataset.shape):
        return {}
    found = {name: views.sheet(experiment.spec, rows) for name, rows in examples(experiment, params).items()}
    return {name: picture for name, picture in found.items() if picture is not None}


def draw(run: TrainedRun, results: Mapping[str, Any], workdir: Path) -> list[str]:
    """Everything in `figures/`, of the run and of its results; returns the names of the files."""
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    model = run.model
    written = ["curves.png"]
    figures.save_curves(folder / "curves.png", read_metrics(workdir))
    titles = {"samples": "samples from the prior", "reconstructions": RECONSTRUCTIONS}
    for name, rows in examples(run.experiment, run.params).items():
        made = views.save(folder / name, run.config, run.experiment.spec, rows, titles[name])
        written += [path.name for path in made]
    if model.latent_shape == (2,):
        figures.save_latent_scatter(folder / "latent_scatter.png", run.codes("test"), run.dataset.test.label)
        written.append("latent_scatter.png")
        grid = latent_grid(model, run.params) if figures.are_images(model.data_shape) else None
        if grid is not None:
            sheet = figures.tile(figures.as_pictures(run.unit(grid)), 20, gap=0)
            title = "decoder means over the prior's quantiles of z[0] (right) and z[1] (up)"
            figures.save_sheet(folder / "latent_grid.png", sheet, title)
            written.append("latent_grid.png")
    curve = results["metrics"].get("rate_distortion", {})
    if curve and None not in curve.values():  # what is not finite is no line
        figures.save_rate_distortion(folder / "rate_distortion.png", curve)
        written.append("rate_distortion.png")
    return written


def write_samples(workdir: Path, config: Mapping[str, Any], spec: DataSpec, x: Any, sampler: str) -> None:
    """`--mode=sample`: `samples.npz` with "x" as `viewed`, and its picture, text or music."""
    title = "samples from the prior" if sampler == "prior" else f"samples, z by '{sampler}'"
    rows = viewed(config, spec, x)[:, None]
    _write_arrays(workdir, "samples", config, spec, rows, title, ("x",))


def write_reconstructions(experiment: Experiment, workdir: Path, params: Params) -> None:
    """`--mode=reconstruct`: `reconstructions.npz` with "x" and "reconstruction" as `viewed`, and their picture."""
    raw = experiment.dataset.test.x[: experiment.config["sample"]["num"]]
    rows, names = _reconstructions(experiment, params, raw), ("x", "reconstruction")
    _write_arrays(workdir, "reconstructions", experiment.config, experiment.spec, rows, RECONSTRUCTIONS, names)


def write_tool(run: TrainedRun, workdir: Path) -> None:
    """`--mode=tool`: what the tool of the settings finds, in `tools/NAME.npz`, `.json`, and to look at."""
    spec = run.config["tool"]
    found = tools.find(spec, run)()
    if jax.process_index() != 0:
        return
    folder = workdir / "tools"
    folder.mkdir(exist_ok=True)
    path = folder / short(spec["name"])
    np.savez(path.with_suffix(".npz"), allow_pickle=False, **found.arrays)
    write_json(path.with_suffix(".json"), {"tool": tools.resolved(spec), **found.numbers})
    for name, value in found.numbers.items():
        print(f"  {name.replace('_', ' '):<40}{value:10.4f}")
    columns = found.rows.shape[1]
    shown = views.save(path, run.config, run.experiment.spec, found.rows, found.title, columns)
    print(f"wrote {path}: {', '.join(['.npz', '.json', *(p.suffix or 'a folder' for p in shown)])}")


def _write_arrays(
    workdir: Path,
    name: str,
    config: Mapping[str, Any],
    spec: DataSpec,
    rows: np.ndarray,
    title: str,
    names: tuple[str, ...],
) -> None:
    """`names` are those of the columns of `rows` in the file."""
    if jax.process_index() != 0:
        return
    arrays = {column: rows[:, i] for i, column in enumerate(names)}
    np.savez(workdir / f"{name}.npz", allow_pickle=False, **arrays)
    (workdir / "figures").mkdir(exist_ok=True)
    shown = views.save(workdir / "figures" / name, config, spec, rows, title)
    print(f"wrote {', '.join(map(str, [workdir / f'{name}.npz', *shown]))}")


def _reconstructions(experiment: Experiment, params: Params, raw: np.ndarray) -> np.ndarray:
    key = jax.random.fold_in(train.streams(jax.random.key(experiment.config["seed"]))["test"], 0)
    x = experiment.preprocess(key, jax.numpy.asarray(raw))
    both = x, _reconstruct(experiment.shown, params, x)
    return np.stack([viewed(experiment.config, experiment.spec, values) for values in both], axis=1)
