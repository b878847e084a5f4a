"""Average the objective's own metrics and the importance-weighted likelihood over the test set."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from jaxvae import train
from jaxvae.data.split import Split
from jaxvae.distributions.spaces import Space
from jaxvae.evaluation.progress import progress
from jaxvae.metrics.likelihood import nll_metrics
from jaxvae.metrics.pareto import threshold
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.train import sharding
from jaxvae.train.validation import mean_over, objective_metrics

UNRELIABLE = 0.05  # share of test examples with a high Pareto k from which a note says so


def objective_means(run: TrainedRun) -> dict[str, float]:
    """Average the objective's metrics, its loss included, over the test set in one pass: nats per example."""
    experiment, settings, parallel = run.experiment, run.config["evaluate"], sharding.global_view()
    weights = run.restored.weights
    trees = parallel.replicate((weights["params"], weights["extra"], np.int32(experiment.total_steps)))
    per_example = partial(
        objective_metrics, experiment.objective, experiment.preprocess, len(experiment.dataset.train.x)
    )
    means = mean_over(
        experiment.dataset.test, per_example, parallel, _keys(run)[0], settings["batch_size"], _bar("loss")
    )
    return means(*trees)


def nll(run: TrainedRun) -> dict[str, Any]:
    """Estimate -log p(x) by importance weighting: nats per example, and its K."""
    experiment, settings, parallel = run.experiment, run.config["evaluate"], sharding.global_view()
    count = settings["nll_samples"]
    per_example = partial(nll_metrics, experiment.model, experiment.preprocess, count, settings["memory_mb"])
    means = mean_over(
        experiment.dataset.test,
        per_example,
        parallel,
        _keys(run)[1],
        settings["batch_size"],
        _bar(f"nll, {count} samples"),
    )
    return means(parallel.replicate(run.params)) | {"nll_samples": count}


def bits_per_dim(nll: float, split: Split) -> float:
    """Convert mean nats per example to bits per observed value, a code length where p(x|z) is a mass function."""
    num = math.prod(split.x.shape[1:]) if split.mask is None else split.mask.sum() / len(split.mask)
    return nll / (float(num) * math.log(2))


def leave_out_edge(test: dict[str, Any], space: Space) -> list[str]:
    """Remove "at_edge" from `test`; where draws of z are at the space's edge, set "elbo" to None and return a note."""
    share = test.pop("at_edge", 0.0)
    if not share:
        return []
    test["elbo"] = None
    return [
        f"{100 * share:.2g}% of the draws of z are at the edge of {space} as float32 represents it, where densities "
        "are wrong: elbo is null, and loss and kl are too low. nll leaves these draws out and remains a bound, but a "
        "loose one. Use a smaller model.posterior.curvature and model.prior.curvature, or a smaller model.prior.scale."
    ]


def unreliable_nll(test: dict[str, Any]) -> list[str]:
    """Return a note where many test examples have weights whose Pareto k is too high for their number, else nothing."""
    share, num = test.get("pareto_k_high"), test.get("nll_samples")
    if not share or not num or share <= UNRELIABLE:
        return []
    return [
        f"nll is too high for some test examples: for {100 * share:.0f}% of them the Pareto k of the {num} importance "
        f"weights is above {threshold(num):.2f}, so that rare draws of z would lower it. Give a larger "
        "evaluate.nll_samples, or compute the metric ais, which needs no good posterior."
    ]


def has_grey_bernoulli(run: TrainedRun) -> bool:
    """Return whether a binary likelihood is used on grey pixels, as a cross-entropy that is not a likelihood."""
    config, dataset = run.config, run.dataset
    if run.experiment.spec.is_real:
        return run.model.likelihood.is_binary
    if not run.model.likelihood.is_binary or config["data"]["binarization"] != "none" or dataset.sequence:
        return False
    parts = (dataset.test.x[i : i + 1024] for i in range(0, len(dataset.test.x), 1024))  # stops at the first grey one
    return not all(bool(((part == 0) | (part == dataset.max_value)).all()) for part in parts)


def _bar(name: str) -> Callable[[list[int]], tqdm]:
    return lambda batches: progress(name, batches, "batch")


def _keys(run: TrainedRun) -> tuple[Any, Any]:
    objective_key, nll_key = jax.random.split(train.stream(run.config["seed"], "test"))
    return objective_key, nll_key
