"""Draw the `figures/` of a run, and the sheets of examples for TensorBoard during training."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae import train
from jaxvae.common.files import remove_if_empty
from jaxvae.common.types import Array, Key, Params
from jaxvae.data.own_units import viewed
from jaxvae.data.wanted import said, shown_contexts, with_pixels
from jaxvae.distributions.components import component_draws, component_logits
from jaxvae.experiment.setup import Experiment
from jaxvae.latent.arithmetic import latent_grid
from jaxvae.latent.samplers import Draw
from jaxvae.models.base import Model
from jaxvae.models.clusters import num_clusters
from jaxvae.models.facts import Batch
from jaxvae.models.sampling import decoded_sample, reconstruct
from jaxvae.report import figures, plots, views
from jaxvae.report.figures import NO_LABELS
from jaxvae.report.style import save
from jaxvae.runs.attempts import Failure, attempt
from jaxvae.runs.log import read_metrics
from jaxvae.runs.sampling import draw_samples
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.tools.base import Labels

PICTURES, ROLLS = 64, 16
COLUMNS, MOST_CONTEXTS = 10, 20  # of samples of a conditional model, a row for each context


@partial(jax.jit, static_argnums=(0, 1))
def _reconstruct(
    model: Model, preprocess: Callable[[Key, Array], Array], params: Params, root: Key, batch: Batch
) -> tuple[Array, Array]:
    x = preprocess(jax.random.fold_in(root, 0), batch["x"])
    return x, reconstruct(model, params, x, context=batch.get("context"), mask=batch.get("mask"))


TITLES = {
    "reconstructions": "test data, each row above its reconstructions",
    "clusters": "samples by cluster, a component of the prior with its weight",
}


def title_of_samples(sampler: str) -> str:
    """Return the title of samples whose z a sampler draws; "" for the prior."""
    return f"samples, z by '{sampler}'" if sampler else "samples from the prior"


def samples(experiment: Experiment, params: Params, draw: Draw | None = None) -> np.ndarray:
    """Draw samples `[N, 1, *data_shape]`, as `viewed`; of a conditional model `[contexts, M, ...]`.

    The random key is the same at every call, so the pictures of a training run show how the model changes.

    Args:
      experiment: the experiment.
      params: the model's parameters.
      draw: of a sampler fitted to the codes; by default z is drawn from the prior.
    """
    key = train.stream(experiment.config["seed"], "sample")
    if experiment.model.context_dim:
        contexts = _contexts(experiment)
        drawn = draw_samples(experiment.model, params, key, COLUMNS, 1.0, draw, contexts)
        rows = with_pixels(experiment.spec, viewed(experiment.config, experiment.spec, drawn), contexts)
        return rows.reshape(len(contexts), COLUMNS, *rows.shape[1:])
    drawn = draw_samples(experiment.model, params, key, _num_examples(experiment), 1.0, draw)
    return viewed(experiment.config, experiment.spec, drawn)[:, None]


def reconstructions(experiment: Experiment, params: Params, num: int = 0) -> np.ndarray:
    """Return test examples beside their reconstructions, `[N, 2, *data_shape]`, as `viewed`; missing values are NaN.

    Those of tables are not: `data.rows.with_gaps` marks them.

    Args:
      experiment: the experiment.
      params: the model's parameters.
      num: number of examples, the first ones; 0 for the usual number.
    """
    num = num or _num_examples(experiment)
    batch = {name: np.asarray(array[:num]) for name, array in experiment.dataset.test.arrays.items()}
    batch.pop("label", None)
    root = train.stream(experiment.config["seed"], "test")
    both = _reconstruct(experiment.model, experiment.preprocess, params, root, batch)
    x, made = (viewed(experiment.config, experiment.spec, values) for values in both)
    if "mask" in batch and not experiment.spec.table:
        x = with_pixels(experiment.spec, np.where(batch["mask"], x, np.nan), batch.get("context"))
    return np.stack([x, with_pixels(experiment.spec, made, batch.get("context"))], axis=1)


EXAMPLES: dict[str, Callable[[Experiment, Params], np.ndarray]] = {
    "samples": samples,
    "reconstructions": reconstructions,
}


def sheets(experiment: Experiment, params: Params) -> dict[str, np.ndarray]:
    """Return a sheet of samples and one of reconstructions for TensorBoard; `{}` where none are drawn."""
    if not experiment.config["figures"]["draw"]:
        return {}
    if experiment.spec.sequence != "music" and not figures.are_images(experiment.dataset.shape):
        return {}
    found = {name: views.sheet(experiment.spec, make(experiment, params)) for name, make in EXAMPLES.items()}
    return {name: picture for name, picture in found.items() if picture is not None}


def draw(run: TrainedRun, results: Mapping[str, Any], workdir: Path, failures: list[Failure]) -> list[str]:
    """Draw each figure of a run and return the file names.

    Args:
      run: the run.
      results: the content of `results.json`.
      workdir: the run's folder, which gets the folder `figures/`.
      failures: extended by the figures that could not be drawn.
    """
    folder = workdir / "figures"
    folder.mkdir(exist_ok=True)
    kind = run.config["figures"]["format"]
    makers: dict[str, Callable[[], list[Path]]] = {
        "curves": lambda: _curves(workdir, folder / "curves", kind),
        "samples": lambda: _samples(run, folder / "samples"),
        "reconstructions": lambda: _reconstructions(run, folder / "reconstructions"),
        "clusters": lambda: _clusters(run, folder / "clusters"),
        "latent_scatter": lambda: _latent_scatter(run, folder / "latent_scatter", kind),
        "latent_grid": lambda: _latent_grid(run, folder / "latent_grid", kind),
        "confusion": lambda: _confusion(run, results, folder / "confusion", kind),
        "rate_distortion": lambda: _rate_distortion(results, folder / "rate_distortion", kind),
        "posterior_calibration": lambda: _calibration(results, folder / "posterior_calibration", kind),
    }
    made = [attempt(f"figures/{name}", failures, make) or [] for name, make in makers.items()]
    remove_if_empty(folder)
    return [path.name for paths in made for path in paths]


def _num_examples(experiment: Experiment) -> int:
    return ROLLS if experiment.spec.sequence == "music" else PICTURES


def _contexts(experiment: Experiment) -> np.ndarray:
    return shown_contexts(experiment.spec.context, experiment.dataset.test.context)[:MOST_CONTEXTS]


def _labels(experiment: Experiment) -> Labels:
    """Label the rows of samples of a conditional model."""
    if not experiment.model.context_dim:
        return NO_LABELS
    return Labels(tuple(said(experiment.spec.context, row) for row in _contexts(experiment)))


def _curves(workdir: Path, path: Path, kind: str) -> list[Path]:
    made = plots.curves(read_metrics(workdir))
    return [] if made is None else save(made, path, kind)


def _samples(run: TrainedRun, path: Path) -> list[Path]:
    """Draw samples by the sampler of the settings."""
    draw = run.own_draw()
    title = title_of_samples("" if draw is None else run.config["sample"]["sampler"]["name"])
    rows = samples(run.experiment, run.params, draw)
    return views.save(path, run.config, run.experiment.spec, rows, title, labels=_labels(run.experiment))


def _reconstructions(run: TrainedRun, path: Path) -> list[Path]:
    rows = reconstructions(run.experiment, run.params)
    return views.save(path, run.config, run.experiment.spec, rows, TITLES["reconstructions"])


def _clusters(run: TrainedRun, path: Path) -> list[Path]:
    """Draw samples of each cluster: z of a row is drawn from one component of a mixture prior, the most probable ones.

    Of a conditional model they are at the context of the first test example.
    """
    if not num_clusters(run.experiment.model):
        return []
    model, context = run.given(), run.context("test", 1)
    prior: Any = model.prior(run.params)
    weights = np.asarray(jax.nn.softmax(component_logits(prior)))
    most = np.sort(np.argsort(-weights, kind="stable")[:MOST_CONTEXTS])
    draw_key, decode_key = jax.random.split(run.key("clusters"))
    z = jnp.swapaxes(component_draws(prior, draw_key, COLUMNS), 0, 1)[most]
    flat = z.reshape(-1, *model.latent_shape)
    x = decoded_sample(model, decode_key, model.decode(run.params, flat))
    contexts = None if context is None else np.tile(context, (len(flat), 1))
    rows = run.viewed(x, contexts).reshape(len(most), COLUMNS, *model.data_shape)
    labels = Labels(tuple(f"{c}: {weights[c]:.0%}" for c in most))
    return views.save(path, run.config, run.experiment.spec, rows, TITLES["clusters"], labels=labels)


def _latent_scatter(run: TrainedRun, path: Path, kind: str) -> list[Path]:
    if run.model.latent_shape != (2,):
        return []
    dataset = run.dataset
    return save(plots.latent_scatter(run.codes("test"), dataset.test.label, dataset.class_names), path, kind)


def _latent_grid(run: TrainedRun, path: Path, kind: str) -> list[Path]:
    model, context = run.given(), run.context("test", 1)
    if model.latent_shape != (2,) or not figures.are_images(model.data_shape):
        return []
    grid = latent_grid(model, run.params)
    if grid is None:
        return []
    rows = None if context is None else np.tile(context, (len(grid), 1))
    picture = figures.tile(figures.as_pictures(run.unit(grid, rows)), 20, gap=0)
    title = "decoder means over the prior's quantiles of z[0] (right) and z[1] (up)"
    title += "" if context is None else f" at {said(run.experiment.spec.context, context[0])}"
    return save(figures.sheet(picture, title), path, kind, figures.SHEET_DPI)


def _confusion(run: TrainedRun, results: Mapping[str, Any], path: Path, kind: str) -> list[Path]:
    found = results["metrics"].get("classification")
    if not found:
        return []
    return save(plots.confusion(found["confusion"], list(map(run.class_name, found["classes"]))), path, kind)


def _rate_distortion(results: Mapping[str, Any], path: Path, kind: str) -> list[Path]:
    curve = results["metrics"].get("rate_distortion", {})
    if not curve or None in curve.values():  # a curve with values that are not finite cannot be drawn
        return []
    return save(plots.rate_distortion(curve), path, kind)


def _calibration(results: Mapping[str, Any], path: Path, kind: str) -> list[Path]:
    found = results["metrics"].get("posterior_calibration")
    return save(plots.rank_histogram(found["counts"], found["band"]), path, kind) if found else []
