"""Compute the metrics of a trained run that need its model or its codes, with the pure functions of `metrics`.

They use the test set, unless stated otherwise.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params
from jaxvae.data.split import UNLABELLED
from jaxvae.evaluation.progress import progress
from jaxvae.experiment.setup import Experiment
from jaxvae.metrics import annealed, clusters, latent_use, rates, representation
from jaxvae.metrics import rate_distortion as curves
from jaxvae.metrics.arrays import check_labels
from jaxvae.metrics.classification import scores
from jaxvae.models.clusters import num_clusters
from jaxvae.models.facts import Batch
from jaxvae.runs.classes import check_codes, class_probs, cluster_probs
from jaxvae.runs.trained_run import TrainedRun, some_rows

PROBE_FIT = 20_000  # training codes for the fit of a probe; more change little and cost much
PER_CLASS = (1, 10, 100)  # labels per class of `few_labels`
NEIGHBOURS = 10  # k of k-NN
GROUPS = 10  # of the examples of annealed importance sampling, for its progress line


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
    model, batch, options = run.experiment.model, *_annealed(run)
    num, beside = len(batch["x"]), {name: array for name, array in batch.items() if name != "x"}

    @jax.jit
    def bounds(params: Params, keys: tuple[Key, Key], batch: Batch, rows: Array) -> tuple[Array, ...]:
        lower = annealed.ais(model, params, keys[0], **batch, **options, rows=rows)
        return lower, *annealed.bidirectional(model, params, keys[1], num, **beside, **options, rows=rows)

    def of_rows(rows: Array) -> tuple[Array, ...]:
        return bounds(run.params, jax.random.split(run.key("ais")), batch, rows)

    found = by_rows("ais", of_rows, num)
    test, own_lower, own_upper = (float(np.mean(value)) for value in found)
    return {
        "nll": -test, "simulated_nll_from_above": -own_lower, "simulated_nll_from_below": -own_upper,
        "simulated_gap": own_upper - own_lower, "examples": num, **options,
    }  # fmt: skip


def rate_distortion(run: TrainedRun) -> dict[str, Any]:
    """Points of the rate-distortion curve."""
    model, batch, options = run.experiment.model, *_annealed(run)
    options["num_points"] = min(50, options["num_temperatures"])

    @jax.jit
    def curve(params: Params, key: Key, batch: Batch, rows: Array) -> tuple[Array, ...]:
        beta, *values = curves.by_example(model, params, key, **batch, **options, rows=rows)
        return jnp.broadcast_to(beta, values[0].shape), *values

    def of_rows(rows: Array) -> tuple[Array, ...]:
        return curve(run.params, run.key("rate_distortion"), batch, rows)

    beta, rate, distortion = by_rows("rate_distortion", of_rows, len(batch["x"]))
    return {
        "beta": beta[0].tolist(), "rate": rate.mean(axis=0).tolist(), "distortion": distortion.mean(axis=0).tolist(),
        "distortion_unit": "nats" if model.likelihood.is_density else "units of the reconstruction loss",
    }  # fmt: skip


def _annealed(run: TrainedRun) -> tuple[Batch, dict[str, Any]]:
    settings = run.config["evaluate"]
    options = {"num_temperatures": settings["ais_temperatures"], "num_chains": settings["ais_chains"]}
    return jax.device_put(run.batch("test", rows(run, "ais_examples"))), options


def by_rows(name: str, function: Callable[[Array], tuple[Array, ...]], num: int) -> list[np.ndarray]:
    """Apply `rows [R] -> arrays [R, ...]` to `num` rows in equal groups, with a progress line: `[num, ...]` each."""
    size = -(-num // min(GROUPS, num))
    groups = [np.arange(start, start + size) % num for start in range(0, num, size)]  # the last one may go round
    found = [jax.device_get(function(jnp.asarray(group))) for group in progress(name, groups, "group")]
    return [np.concatenate(parts)[:num].astype(np.float64) for parts in zip(*found, strict=True)]


def linear_probe(run: TrainedRun) -> dict[str, float]:
    """Accuracy of a linear classifier of the labels from the codes."""
    return representation.linear_probe(*_labelled(run))


def knn(run: TrainedRun) -> dict[str, float]:
    """Accuracy of a k-nearest-neighbour classifier of the labels from the codes."""
    return representation.knn(*_labelled(run), k=NEIGHBOURS)


def few_labels(run: TrainedRun) -> dict[str, float]:
    """Accuracy of the linear probe with few labels per class."""
    labels = run.labels("train")[run.labelled("train", PROBE_FIT)]
    smallest = int(np.unique(labels, return_counts=True)[1].min())
    found = {}
    for count in (count for count in PER_CLASS if count <= smallest):
        values = representation.few_labels(*_labelled(run), per_class=count)
        found |= {f"{name}_of_{count}": value for name, value in values.items()}
    return found


def classification(run: TrainedRun) -> dict[str, Any]:
    """Scores of the classes that the run assigns to test examples."""
    classes, probs = class_probs(run)
    which = run.labelled("test")
    return scores(probs[which], classes, run.labels("test")[which])


def check_classifier(experiment: Experiment) -> None:
    """Raise UserError where the run learns no classifier, and the training labels have only one class."""
    if experiment.objective.classes is None:
        check_codes(experiment)
        check_classes(experiment)
    check_judged(experiment)


def check_judged(experiment: Experiment) -> None:
    """Raise UserError where no test example has a label."""
    if not _is_labelled(experiment):
        raise UserError("No test example has a label, so that nothing can be judged by it.")


def _is_labelled(experiment: Experiment) -> bool:
    """Return whether any test example has a label."""
    label = experiment.dataset.test.label
    return label is not None and bool((label != UNLABELLED).any())


def check_clusters(experiment: Experiment) -> None:
    """Raise UserError where there are neither clusters of a mixture prior nor labels to compare those of codes with."""
    if not num_clusters(experiment.model):
        check_judged(experiment)


def clustering(run: TrainedRun) -> dict[str, float]:
    """Agreement of clusters with the classes: those of the run, where its prior is a mixture, and of the codes.

    Clusters of the codes are those of k-means and of a Gaussian mixture, as many as classes. Without labels there are
    only those of a mixture prior, and how many of them are in use.
    """
    if not _is_labelled(run.experiment):
        return clusters.in_use(cluster_probs(run))
    some = run.labelled("test", run.config["evaluate"]["max_examples"])
    data = run.codes("test")[some], run.labels("test")[some]
    k_means = representation.clustering(*data, seed=0)
    baseline = {f"gmm_{name}": value for name, value in clusters.mixture_baseline(*data, seed=0).items()}
    if not num_clusters(run.experiment.model):
        return k_means | baseline
    every = run.labelled("test")
    own = clusters.agreement(cluster_probs(run).argmax(axis=1)[every], run.labels("test")[every])
    return own | {f"k_means_{name}": value for name, value in k_means.items()} | baseline


def _labelled(run: TrainedRun) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    some, test = run.labelled("train", PROBE_FIT), run.labelled("test")
    return (run.codes("train")[some], run.labels("train")[some], run.codes("test")[test], run.labels("test")[test])


def check_classes(experiment: Experiment) -> None:
    """Raise UserError where a probe's training labels have only one class, or the test examples no labels."""
    check_judged(experiment)
    labels = np.asarray(experiment.dataset.train.label)
    labels = labels[labels != UNLABELLED]
    some = some_rows(len(labels), PROBE_FIT)
    check_labels(labels[some], len(some))


def check_knn_rows(experiment: Experiment) -> None:
    """Raise UserError where there are fewer training examples than neighbours, or only one class."""
    if (num := num_rows(experiment, "train")) < NEIGHBOURS:
        raise UserError(f"k-NN needs at least {NEIGHBOURS} training examples; there are {num}.")
    check_classes(experiment)
