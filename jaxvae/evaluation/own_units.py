"""Report log-likelihoods of scaled data in the data's own units."""

from typing import Any

import numpy as np

from jaxvae.evaluation.of_run import rows
from jaxvae.runs.trained_run import TrainedRun

LOG_DENSITIES = (
    "elbo",
    "iwae",
)  # metrics of an objective that are log-densities of x, and those that are their negative
NEGATIVE = ("reconstruction", "nll")
OF_AIS = ("nll", "simulated_nll_from_above", "simulated_nll_from_below")


def to_own_units(run: TrainedRun, test: dict[str, Any], found: dict[str, dict[str, Any]]) -> list[str]:
    """Convert the log-likelihoods of an evaluation, in place, and return a note.

    With x = (own - shift) / scale, log p(own) = log p(x) - sum log(scale) over the (observed) entries of an example,
    the log-determinant of the Jacobian. The loss, which was minimised, stays in the model's units. Nothing changes
    without scaling, or where the likelihood is a probability mass or no density.

    Args:
      run: the run.
      test: means over the test set, nats per example.
      found: values of the metrics, by name.
    """
    spec, likelihood = run.experiment.spec, run.model.likelihood
    if not spec.scale or not likelihood.is_density or likelihood.is_discrete:
        return []
    mean = of_annealed = spec.log_scale
    if (mask := run.dataset.test.mask) is not None:
        sums = spec.observed_log_scale(mask)
        mean, of_annealed = float(np.mean(sums)), float(np.mean(sums[rows(run, "ais_examples")]))
    for names, sign in ((LOG_DENSITIES, -1), (NEGATIVE, 1)):
        test |= {name: test[name] + sign * mean for name in names if test.get(name) is not None}
    if ais := found.get("ais"):
        found["ais"] = ais | {name: ais[name] + of_annealed for name in OF_AIS}
    if curve := found.get("rate_distortion"):
        found["rate_distortion"] = curve | {"distortion": [value + of_annealed for value in curve["distortion"]]}
    by = f"{'+' if mean < 0 else '-'} {abs(mean):.6g}"
    return [
        f"The data is scaled: elbo, reconstruction and nll are those of the data in its own units, log p(own) = "
        f"log p(scaled) {by} nats per example; the loss is that of the scaled data."
    ]
