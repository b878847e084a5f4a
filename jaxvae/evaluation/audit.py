"""Compute the audit of a run's posterior: amortisation gap, calibration of q(z|x), posterior predictive checks."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params
from jaxvae.evaluation.of_run import by_rows, rows
from jaxvae.evaluation.progress import progress
from jaxvae.experiment.setup import Experiment
from jaxvae.metrics.amortization import Gap, amortization_gap, summary
from jaxvae.metrics.posterior_calibration import judge_ranks, ranks, require_ranks
from jaxvae.metrics.predictive_checks import judge_replicates, replicate
from jaxvae.runs.trained_run import TrainedRun

SIMULATED, PART = 2000, 500  # examples drawn from the model for the calibration, and how many of them at a time
REPLICATED, REPLICATES = 500, 100  # test examples of the predictive checks, and their replicates
LEVEL = 0.01  # p-values below it are findings


def _has_ranks(experiment: Experiment) -> bool:
    try:
        require_ranks(experiment.model)
    except UserError:
        return False
    return True


NEEDS: dict[str, tuple[Callable[[Experiment], bool], str]] = {
    "ranks": (_has_ranks, "continuous latents, a q(z|x) that is not a point, and a likelihood that is a density"),
}


def amortization(run: TrainedRun) -> dict[str, Any]:
    """Amortisation gap: ELBO that q(z|x) gains when it is refined for each of `evaluate.ais_examples` test examples."""
    model, batch = run.experiment.model, jax.device_put(run.batch("test", rows(run, "ais_examples")))

    @jax.jit
    def gaps(params: Params, key: Key, batch: dict[str, Any]) -> Gap:
        return amortization_gap(model, params, key, **batch)

    def of_rows(rows: Array) -> Gap:
        key = jax.random.fold_in(run.key("amortization"), rows[0])
        return gaps(run.params, key, {name: array[rows] for name, array in batch.items()})

    num = len(batch["x"])
    found: Any = by_rows("amortization", of_rows, num)
    return summary(Gap(*found)) | {"examples": num}


def posterior_calibration(run: TrainedRun) -> dict[str, Any]:
    """Simulation-based calibration: ranks of the true z among draws of q(z|x), on data drawn from the model."""
    model, test = run.experiment.model, run.split("test")
    which = np.random.default_rng(0).integers(len(test.x), size=SIMULATED)
    given = {"context": test.context, "mask": test.mask}
    given = {name: array[which] for name, array in given.items() if array is not None}

    @jax.jit
    def of_part(params: Params, key: Key, given: dict[str, Any]) -> Array:
        return ranks(model, params, key, PART, **given)

    parts = []
    for start in progress("posterior_calibration", range(0, SIMULATED, PART), "part"):
        key = jax.random.fold_in(run.key("posterior_calibration"), start)
        beside = {name: jnp.asarray(array[start : start + PART]) for name, array in given.items()}
        parts.append(np.asarray(of_part(run.params, key, beside)))
    found = judge_ranks(np.concatenate(parts))
    return {"finding": _of_ranks(found), **found, "examples": SIMULATED}


def _of_ranks(found: dict[str, Any]) -> str:
    if found["p_value"] >= LEVEL:
        return "the ranks are uniform, as far as so many examples show"
    if found["rank_variance"] > 1:
        return "q(z|x) is narrower than p(z|x), or beside it"
    return "q(z|x) is wider than p(z|x), or beside it"


def predictive_checks(run: TrainedRun) -> dict[str, Any]:
    """Posterior predictive checks: statistics of test data and of data that the model makes again from its z."""
    model, which = run.experiment.model, rows(run)[:REPLICATED]
    batch = jax.device_put(run.batch("test", which))
    memory_mb = run.config["evaluate"]["memory_mb"]

    @jax.jit
    def checks(params: Params, key: Key, batch: dict[str, Any]) -> dict[str, tuple[Array, Array]]:
        return replicate(model, params, key, num_replicates=REPLICATES, memory_mb=memory_mb, **batch)

    found = judge_replicates(jax.device_get(checks(run.params, run.key("predictive_checks"), batch)))
    unlike = [name[:-2] for name, p in found.items() if name.endswith("_p") and 2 * min(p, 1 - p) < LEVEL]
    finding = f"replicated data differs in {', '.join(unlike)}" if unlike else "replicated data is like the data"
    return {"finding": finding, **found, "examples": len(which), "replicates": REPLICATES}
