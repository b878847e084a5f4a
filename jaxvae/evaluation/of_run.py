"""Compute the metrics of a trained run that need its model or its codes, with the pure functions of `metrics`.

They use the test set, unless stated otherwise.
"""

from typing import Any

import jax
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params
from jaxvae.experiment.setup import Experiment
from jaxvae.metrics import annealed, latent_use, rates, representation
from jaxvae.metrics import rate_distortion as curves
from jaxvae.metrics.arrays import check_labels
from jaxvae.runs.trained_run import TrainedRun, some_rows

PROBE_FIT = 20_000  # training codes for the fit of a probe; more change little and cost much
PER_CLASS = (1, 10, 100)  # labels per class of `few_labels`
NEIGHBOURS = 10  # k of k-NN


def rows(run: TrainedRun, most: str = "max_examples") -> np.ndarray:
    """Return a random subset of test rows, at most `evaluate.<most>` of them."""
    return run.some("test", run.config["evaluate"][most])


def num_rows(experiment: Experiment, split: str) -> int:
    """Return the number of examples used from a split: for the fit of probes ("train"), or that of `rows`."""
    most = PROBE_FIT if split == "train" else experiment.config["evaluate"]["max_examples"]
    return min(most, len(getattr(experiment.dataset, split).x))


def collapse(run: TrainedRun) -> dict[str, Any]:
    """Posterior collapse: whether the model uses its latents."""
    batches = run.batches("test", rows(run))
    return latent_use.collapse(run.experiment.model, run.params, run.key("collapse"), batches)


def aggregate_kl(run: TrainedRun) -> dict[str, float]:
    """Decomposition of the KL by the aggregated posterior of the test set."""
    batches = run.batches("test", rows(run))
    return rates.aggregate_kl(run.experiment.model, run.params, run.key("aggregate_kl"), batches)


def ais(run: TrainedRun) -> dict[str, float]:
    """Lower bound of log p(x) on test data; lower and upper bound on data simulated from the model."""
    model, x, options = run.model, *_annealed(run)

    @jax.jit
    def bounds(params: Params, test_key: Key, own_key: Key, x: Array) -> tuple[Array, Array, Array]:
        lower = annealed.ais(model, params, test_key, x, **options)
        return lower, *annealed.bidirectional(model, params, own_key, len(x), **options)

    found = bounds(run.params, *jax.random.split(run.key("ais")), x)
    test, own_lower, own_upper = (float(np.mean(np.asarray(value, np.float64))) for value in found)
    return {
        "nll": -test, "simulated_nll_from_above": -own_lower, "simulated_nll_from_below": -own_upper,
        "simulated_gap": own_upper - own_lower, "examples": len(x), **options,
    }  # fmt: skip


def rate_distortion(run: TrainedRun) -> dict[str, Any]:
    """Points of the rate-distortion curve."""
    model, x, options = run.model, *_annealed(run)
    options["num_points"] = min(50, options["num_temperatures"])

    @jax.jit
    def curve(params: Params, key: Key, x: Array) -> dict[str, Array]:
        return curves.rate_distortion(model, params, key, x, **options)

    found = curve(run.params, run.key("rate_distortion"), x)
    unit = "nats" if model.likelihood.is_density else "units of the reconstruction loss"
    lists = {name: np.asarray(found[name], np.float64).tolist() for name in ("beta", "rate", "distortion")}
    return lists | {"distortion_unit": unit}


def _annealed(run: TrainedRun) -> tuple[Array, dict[str, Any]]:
    settings = run.config["evaluate"]
    options = {"num_temperatures": settings["ais_temperatures"], "num_chains": settings["ais_chains"]}
    return jax.numpy.asarray(run.x("test", rows(run, "ais_examples"))), options


def linear_probe(run: TrainedRun) -> dict[str, float]:
    """Accuracy of a linear classifier of the labels from the codes."""
    return representation.linear_probe(*_labelled(run))


def knn(run: TrainedRun) -> dict[str, float]:
    """Accuracy of a k-nearest-neighbour classifier of the labels from the codes."""
    return representation.knn(*_labelled(run), k=NEIGHBOURS)


def few_labels(run: TrainedRun) -> dict[str, float]:
    """Accuracy of the linear probe with few labels per class."""
    labels = run.labels("train")[run.some("train", PROBE_FIT)]
    smallest = int(np.unique(labels, return_counts=True)[1].min())
    found = {}
    for count in (count for count in PER_CLASS if count <= smallest):
        values = representation.few_labels(*_labelled(run), per_class=count)
        found |= {f"{name}_of_{count}": value for name, value in values.items()}
    return found


def clustering(run: TrainedRun) -> dict[str, float]:
    """Agreement of k-means clusters of the codes with the classes."""
    some = rows(run)
    return representation.clustering(run.codes("test")[some], run.labels("test")[some], seed=0)


def _labelled(run: TrainedRun) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    some = run.some("train", PROBE_FIT)
    return (run.codes("train")[some], run.labels("train")[some], run.codes("test"), run.labels("test"))


def check_classes(experiment: Experiment) -> None:
    """Raise UserError where a probe's training labels have only one class."""
    labels, some = np.asarray(experiment.dataset.train.label), some_rows(len(experiment.dataset.train.x), PROBE_FIT)
    check_labels(labels[some], len(some))


def check_knn_rows(experiment: Experiment) -> None:
    """Raise UserError where there are fewer training examples than neighbours, or only one class."""
    if (num := num_rows(experiment, "train")) < NEIGHBOURS:
        raise UserError(f"k-NN needs at least {NEIGHBOURS} training examples; there are {num}.")
    check_classes(experiment)
