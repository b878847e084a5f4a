"""Compute the metrics of a trained run that compare its test set with generated, reconstructed or other data.

The checks run before training.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae import data
from jaxvae.common.errors import UserError
from jaxvae.common.optional import require
from jaxvae.common.places import BUNDLED, find_prepared
from jaxvae.common.types import Array, Key
from jaxvae.data.context import of_split
from jaxvae.data.missing import has_missing
from jaxvae.evaluation.of_run import num_rows, rows
from jaxvae.evaluation.progress import progress
from jaxvae.evaluation.run_features import run_features
from jaxvae.experiment import own, sources
from jaxvae.experiment.plain import load_config
from jaxvae.experiment.setup import Experiment
from jaxvae.metrics import features, fidelity
from jaxvae.metrics import sample_quality as quality
from jaxvae.metrics.auroc import outlier_auroc
from jaxvae.metrics.outliers import outlier_scores
from jaxvae.metrics.sharpness import sharpness as image_sharpness
from jaxvae.models.sampling import reconstruct
from jaxvae.runs.other_data import labels_like
from jaxvae.runs.trained_run import BATCH, TrainedRun, some_rows

PCA_DIM, PCA_FIT = 50, 10_000  # components, and training images for their fit
OUTLIER_SAMPLES = 50  # draws of z per example
NEIGHBOUR = 5  # k of precision, recall, density and coverage
NEEDS: dict[str, tuple[Callable[[Experiment], bool], str]] = {
    "images": (lambda e: len(e.dataset.shape) == 3, "images [height, width, channels]"),
    "complete": (
        lambda e: not (has_missing(e.dataset.train) or has_missing(e.dataset.test)),
        "data of which no value is missing or the pixel of a context: it compares whole examples",
    ),
    "outliers": (lambda e: bool(e.config["evaluate"]["outliers"]), "another data set in evaluate.outliers"),
}


def frechet(run: TrainedRun) -> dict[str, Any]:
    """Fréchet distance of generated and of reconstructed from test data, in the features of evaluate.features."""
    x, back = _reconstructed(run)
    real, again, fake = _features(run, x, back, run.generated(len(x)))
    of_reconstructions = quality.frechet_distance(real, again)["frechet_distance"]
    return quality.frechet_distance(real, fake) | {"reconstructions": of_reconstructions} | _how(run)


def prdc(run: TrainedRun) -> dict[str, Any]:
    """Precision, recall, density and coverage of generated data, in the features of evaluate.features."""
    x = run.x("test", rows(run))
    real, fake = _features(run, x, run.generated(len(x)))
    return quality.precision_recall_density_coverage(real, fake, k=NEIGHBOUR) | _how(run)


def check_prdc_rows(experiment: Experiment) -> None:
    """Raise UserError where there are too few test examples for k nearest neighbours."""
    if (num := num_rows(experiment, "test")) <= NEIGHBOUR:
        raise UserError(
            f"Its balls reach the {NEIGHBOUR}th neighbour, so it needs at least {NEIGHBOUR + 1} test examples; there "
            f"are {num} (at most evaluate.max_examples)."
        )


def _how(run: TrainedRun) -> dict[str, Any]:
    """Return the settings that must agree for a comparison of two numbers."""
    settings = run.config["sample"]
    options = {name: value for name, value in settings["sampler"].items() if name != "name"}
    return {
        "features": run.config["evaluate"]["features"], "sampler": settings["sampler"]["name"],
        "sampler_options": options, "temperature": float(settings["temperature"]), "examples": len(rows(run)),
    }  # fmt: skip


def _features(run: TrainedRun, *examples: np.ndarray) -> list[np.ndarray]:
    """Return the features `[N, F]` of each of some sets of examples, in the model's units."""
    to_features = _feature_map(run)
    return [to_features(run.compared(x)) for x in examples]


def _feature_map(run: TrainedRun) -> features.FeatureMap:
    name = run.config["evaluate"]["features"]
    if name == "pixels":
        return features.pixel_features
    if name == "pca":
        train = run.compared(run.x("train", run.some("train", PCA_FIT)))
        return features.pca_features(train, min(PCA_DIM, len(train), train[0].size))
    make = features.npz_features if name.endswith(".npz") else run_features
    return make(Path(name).expanduser())


def check_features(config: Mapping[str, Any]) -> None:
    """Raise UserError where `evaluate.features` is unknown or does not exist; reads at most a run's config."""
    name = config["evaluate"]["features"]
    path = Path(name).expanduser()
    if name in ("pixels", "pca") or (name.endswith(".npz") and path.is_file()):
        return
    if not path.is_dir():
        raise UserError(
            f"evaluate.features is '{name}', but no such folder or file exists. It can be 'pixels', 'pca', the folder "
            "of a run of jaxvae, or an .npz file of the weights of a feature network."
        )
    load_config(path)


def reconstruction_fidelity(run: TrainedRun) -> dict[str, float]:
    """PSNR and SSIM of reconstructions from the posterior's centre."""
    return fidelity.fidelity(*map(run.unit, _reconstructed(run)))


def sharpness(run: TrainedRun) -> dict[str, float]:
    """Sharpness of test data, of its reconstructions and of samples: the variance of the Laplacian, and its ratios."""
    x, back = map(run.unit, _reconstructed(run))
    found = {"data": x, "reconstructions": back, "samples": run.unit(run.generated(len(x)))}
    means = {name: float(image_sharpness(images).mean()) for name, images in found.items()}
    ratios = {f"{name}_ratio": means[name] / means["data"] for name in ("reconstructions", "samples") if means["data"]}
    return means | ratios


def _reconstructed(run: TrainedRun) -> tuple[np.ndarray, np.ndarray]:
    """Return test examples and their reconstructions from the posterior's centre, in the model's units."""
    through = jax.jit(lambda params, batch: reconstruct(run.experiment.model, params, **batch))
    found = [(batch["x"], through(run.params, batch)) for batch in run.batches("test", rows(run))]
    x, back = map(np.concatenate, zip(*found, strict=True))
    return x, back


def check_ssim_installed(experiment: Experiment) -> None:
    """Raise UserError where scikit-image, which computes SSIM, is missing."""
    del experiment
    require("skimage.metrics")


def outliers(run: TrainedRun) -> dict[str, Any]:
    """AUROC of each outlier score, the test set against another data set; and K, the draws of z per example."""
    settings, num = run.config["data"], run.config["evaluate"]["max_examples"]
    other = _other_data(run)
    preprocess = run.experiment.preprocess
    if not run.experiment.spec.is_real:
        preprocess = data.make_preprocess(other.max_value, settings["binarization"], settings["pixel_range"])
    key, other_key = jax.random.split(run.key("outliers"))

    def scores(key: Key, batch: Mapping[str, Any]) -> dict[str, np.ndarray]:
        def of_part(i: int) -> dict[str, Array]:
            part = {name: jnp.asarray(array[i : i + BATCH]) for name, array in batch.items()}
            part_key = jax.random.fold_in(key, i)
            return outlier_scores(run.experiment.model, run.params, part_key, num_samples=OUTLIER_SAMPLES, **part)

        parts = [of_part(i) for i in progress("outliers", range(0, len(batch["x"]), BATCH), "batch")]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    inside = scores(key, run.batch("test", rows(run)))
    some = some_rows(len(other.test.x), num)
    arrays: dict[str, Any] = other.test.arrays
    strange = {name: arrays[name][some] for name in ("x", "context", "mask") if name in arrays}
    strange["x"] = preprocess(jax.random.fold_in(other_key, 0), jnp.asarray(strange["x"]))
    outside = scores(jax.random.fold_in(other_key, 1), strange)
    areas = {name: outlier_auroc(inside[name], outside[name])["auroc"] for name in inside}
    return areas | {"nll_samples": OUTLIER_SAMPLES}


def _other_data(run: TrainedRun) -> data.Dataset:
    name = run.config["evaluate"]["outliers"]
    where = {"path": name} if Path(name).expanduser().exists() else {"name": name, "path": "", "options": {}}
    spec, label = run.experiment.spec, run.config["data"]["label"]
    where["label"] = label if "label" in spec.context_names else ""
    other = sources.load({**run.config["data"], **where})
    if other.shape != run.dataset.shape:
        raise UserError(
            f"evaluate.outliers is '{name}', whose examples have the shape {list(other.shape)}; the run's have "
            f"{list(run.dataset.shape)}. Give data of that shape, or set data.image_size in training."
        )
    if other.context_dim and not spec.context:
        raise UserError(
            f"evaluate.outliers is '{name}', whose examples have a context; the run's have none. Give data without one."
        )
    labels, _ = labels_like(other.test.label, other.class_names, spec.class_names)
    try:
        test = of_split(spec.context, other.test._replace(label=labels), other)
    except UserError as error:
        raise UserError(
            f"evaluate.outliers is '{name}', whose examples cannot be scored at their own context: {error}"
        ) from error
    return other._replace(test=test)


def check_outliers(config: Mapping[str, Any]) -> None:
    """Raise UserError where `evaluate.outliers` is not an existing file, folder or data set; nothing is read."""
    name = config["evaluate"]["outliers"]
    if own.is_own(name):
        sources.builder({**config["data"], "name": name, "options": {}})
        return
    if name in BUNDLED["images"] or Path(name).expanduser().exists():
        return
    try:
        find_prepared(name, config["data"]["data_dir"])
    except UserError as error:
        raise UserError(f"evaluate.outliers is '{name}', which is not a file or folder. {error}") from error
