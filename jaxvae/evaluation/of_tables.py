"""Compute the metrics of a trained run on a table that judge its synthetic rows."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.data.columns import target_of
from jaxvae.evaluation.of_run import rows
from jaxvae.experiment.setup import Experiment
from jaxvae.likelihoods.columns import encoder_input
from jaxvae.metrics import synthetic_rows
from jaxvae.runs.trained_run import TrainedRun

SEED = 0


def two_sample(run: TrainedRun) -> dict[str, Any]:
    """AUROC of classifiers that tell as many synthetic rows from the test rows without missing values."""
    real = _encoded(run, _complete(run, "test", rows(run)))
    return synthetic_rows.two_sample(real, _encoded(run, run.generated(len(real))), SEED) | _how(run, len(real))


def correlations(run: TrainedRun) -> dict[str, Any]:
    """Mean error of the pairwise correlations of synthetic rows, against those of the test rows."""
    real = _encoded(run, _complete(run, "test", rows(run)))
    return synthetic_rows.correlation_error(real, _encoded(run, run.generated(len(real)))) | _how(run, len(real))


def train_on_synthetic(run: TrainedRun) -> dict[str, Any]:
    """Score on test rows of a forest that predicts the label, fitted to synthetic rows and to the training rows."""
    real, test = _complete(run, "train"), _complete(run, "test", rows(run))
    parts = [_with_target(run, x) for x in (run.generated(len(real)), real, test)]
    return synthetic_rows.train_on_synthetic(parts[0], parts[1], parts[2], SEED) | _how(run, len(test))


def has_target(experiment: Experiment) -> bool:
    """Return whether a column of the table is its label."""
    return target_of(experiment.spec.table, experiment.config["data"]["label"]) is not None


def check_rows(experiment: Experiment) -> None:
    """Raise UserError where there are too few test rows without missing values."""
    test = experiment.dataset.test
    num = len(test.x) if test.mask is None else int(test.mask.all(axis=1).sum())
    if num < 2 * synthetic_rows.FOLDS:
        raise UserError(
            f"It needs at least {2 * synthetic_rows.FOLDS} test rows without missing values; there are {num}."
        )


def _complete(run: TrainedRun, split: str, which: np.ndarray | None = None) -> np.ndarray:
    """Return the rows `[N, D]` without missing values, in the model's units."""
    mask = run.split(split).mask
    which = np.arange(len(run.split(split).x)) if which is None else which
    return run.x(split, which if mask is None else which[mask[which].all(axis=1)])


def _encoded(run: TrainedRun, x: np.ndarray) -> np.ndarray:
    return np.asarray(encoder_input(run.experiment.spec.table, jnp.asarray(x)))


def _with_target(run: TrainedRun, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split rows into the other columns, encoded, and the label: codes of classes, or numbers."""
    table = run.experiment.spec.table
    target = target_of(table, run.config["data"]["label"])
    assert target is not None
    others = [i for i in range(len(table)) if i != target]
    features = np.asarray(encoder_input([table[i] for i in others], jnp.asarray(x[:, others])))
    label = x[:, target]
    return features, np.rint(label).astype(int) if table[target].has_categories else label


def _how(run: TrainedRun, num: int) -> dict[str, Any]:
    settings = run.config["sample"]
    return {"sampler": settings["sampler"]["name"], "temperature": float(settings["temperature"]), "examples": num}


NEEDS: dict[str, tuple[Callable[[Experiment], bool], str]] = {
    "table": (lambda e: bool(e.spec.table), "columns of several kinds, data.kind=table"),
    "target": (has_target, "a column of labels, data.label"),
}
SETTINGS = ("evaluate.max_examples", "sample.sampler", "sample.temperature")
# By name: the metric, and its needs.
TABLE_SCORES: dict[str, tuple[Callable[[TrainedRun], dict[str, Any]], tuple[str, ...]]] = {
    "two_sample": (two_sample, ("table",)),
    "correlations": (correlations, ("table",)),
    "train_on_synthetic": (train_on_synthetic, ("table", "target")),
}
