"""Compute the imputation error of a run: how near its imputed values are to those that `data.missing` hid."""

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxvae.evaluation.of_run import rows
from jaxvae.experiment.setup import Experiment
from jaxvae.runs import imputing
from jaxvae.runs.trained_run import TrainedRun

SAMPLES = 1000  # draws of z for each example
NEEDS: dict[str, tuple[Callable[[Experiment], bool], str]] = {
    "hidden": (lambda e: "test" in e.dataset.complete, "hidden values to compare with (data.missing above 0)"),
}


def imputation(run: TrainedRun) -> dict[str, Any]:
    """Error of imputed test values at hidden entries, beside that of the training data's mean: `imputing.errors`."""
    which = rows(run)
    true, where = imputing.hidden(run, "test", which)
    found = imputing.fill(run, "test", which, SAMPLES)
    effective = float(np.mean(found.effective))
    numbers = imputing.errors(run, true, found.mean, where)
    return numbers | {"hidden": int(where.sum()), "samples": SAMPLES, "effective_samples": effective}
