"""Classes and clusters that a run assigns to examples: by its classifier, one fitted to its codes, or its prior."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.types import Params
from jaxvae.data.split import UNLABELLED, Split
from jaxvae.experiment.setup import Experiment
from jaxvae.metrics.classifiers import fit_classifier
from jaxvae.models.base import Model
from jaxvae.models.clusters import cluster_log_probs
from jaxvae.models.facts import Batch, Labels


def class_probs(run: Any, split: str = "test") -> tuple[np.ndarray, np.ndarray]:
    """Return the classes `[C]` and their probabilities `[N, C]` for the examples of a split, see `classifier_of`.

    Args:
      run: a `TrainedRun`.
      split: "train", "validation" or "test".
    """
    classes, probs = classifier_of(run)
    return classes, np.concatenate([probs(batch) for batch in run.batches(split)])


def classifier_of(run: Any) -> tuple[np.ndarray, Callable[[Batch], np.ndarray]]:
    """Return the classes `[C]` that a run assigns, and `batch -> probabilities [B, C]`.

    Where the objective has learned to classify they are its q(y|x); else those of the classifier `evaluate.classifier`,
    fitted to the codes of the training examples that have a label.

    Raises:
      UserError: no classifier was learned, and the encoder gets the label, or the training data has labels of fewer
        than two classes.
    """
    classes = run.experiment.objective.classes
    if classes is not None:
        weights = run.restored.weights
        of_batch = jax.jit(lambda weights, batch: classes.log_probs(weights["params"], weights["extra"], batch))
        return np.asarray(classes.values), lambda batch: np.exp(np.asarray(of_batch(weights, batch), np.float64))
    check_codes(run.experiment)
    label = run.dataset.train.label
    which = np.flatnonzero(label != UNLABELLED) if label is not None else np.empty(0, int)
    if label is None or len(np.unique(label[which])) < 2:
        raise UserError("A classifier needs training labels of at least two classes, but this run's data has fewer.")
    codes = run.codes("train")
    values, predict = fit_classifier(run.config["evaluate"]["classifier"], codes[which], label[which], codes)
    return values, lambda batch: predict(run.codes_of(batch))


def check_codes(experiment: Experiment) -> None:
    """Raise UserError where a classifier of codes would read the label that the encoder got."""
    if experiment.codes_hold_labels:
        raise UserError(
            "The codes of this run are of x and its label, which is in the context, so that a classifier of codes "
            "would see it. Take a run without data.context=label, one with context.encoder=False, or an objective that "
            "classifies, 'm2'."
        )


def with_classes(run: Any, name: str) -> Split:
    """Return a split whose examples without a label have their likeliest class in the context, one-hot.

    So it is where the run has learned a classifier and is conditional on the label; other splits are as stored.

    Args:
      run: a `TrainedRun`.
      name: "train", "validation" or "test".
    """
    split, spec = getattr(run.dataset, name), run.experiment.spec
    unknown = np.flatnonzero(split.label == UNLABELLED) if split.label is not None else np.empty(0, int)
    if run.experiment.objective.classes is None or spec.label_position is None or not len(unknown):
        return split
    _, probs = classifier_of(run)
    index = np.concatenate([probs(batch).argmax(axis=1) for batch in run.batches_of(name, split, unknown)])
    context = np.array(split.context)
    labels = Labels(spec.classes, spec.label_position)
    context[unknown] = labels.context(jnp.asarray(context[unknown]), jnp.asarray(index))
    return split._replace(context=context)


def cluster_probs(run: Any, split: str = "test") -> np.ndarray:
    """Return the probabilities q(c|x) `[N, C]` of the components of a mixture prior, for the examples of a split.

    Args:
      run: a `TrainedRun`.
      split: "train", "validation" or "test".
    """
    probs = clusters_by(run.experiment.model, run.params)
    return np.concatenate([probs(batch) for batch in run.batches(split)])


def clusters_by(model: Model, params: Params) -> Callable[[Batch], np.ndarray]:
    """Return `batch -> probabilities [B, C]` of the components of a mixture prior."""
    of_batch = jax.jit(partial(cluster_log_probs, model))
    return lambda batch: np.exp(np.asarray(of_batch(params, batch), np.float64))
