"""Classes that a run assigns to examples: by its own classifier, or by one fitted to its codes."""

from typing import Any

import jax
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.data.split import UNLABELLED
from jaxvae.metrics.classifiers import fit_classifier


def class_probs(run: Any, split: str = "test") -> tuple[np.ndarray, np.ndarray]:
    """Return the classes `[C]` and their probabilities `[N, C]` for the examples of a split.

    Where the objective has learned to classify they are its q(y|x); else those of the classifier `evaluate.classifier`,
    fitted to the codes of the training examples that have a label.

    Args:
      run: a `TrainedRun`.
      split: "train", "validation" or "test".

    Raises:
      UserError: no classifier was learned, and the training data has labels of fewer than two classes.
    """
    classes = run.experiment.objective.classes
    if classes is not None:
        weights = run.restored.weights
        of_batch = jax.jit(lambda weights, batch: classes.log_probs(weights["params"], weights["extra"], batch))
        found = [np.asarray(of_batch(weights, batch)) for batch in run.batches(split)]
        return np.asarray(classes.values), np.exp(np.concatenate(found).astype(np.float64))
    labels = run.labels("train")
    which = np.flatnonzero(labels != UNLABELLED)
    if len(np.unique(labels[which])) < 2:
        raise UserError("A classifier needs training labels of at least two classes, but this run's data has fewer.")
    codes = run.codes("train")
    values, predict = fit_classifier(run.config["evaluate"]["classifier"], codes[which], labels[which], codes)
    return values, predict(run.codes(split))
