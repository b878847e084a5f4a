"""Fit classifiers of scikit-learn for tools: on codes, to guide a search; on images, to evaluate the result."""

import warnings
from collections.abc import Callable

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.optional import require
from jaxvae.common.threads import one_thread
from jaxvae.metrics.linear import fit_linear
from jaxvae.runs.trained_run import some_rows

LARGEST = 20_000  # training examples of a classifier; more change little and cost much


def linear_classifier(codes: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit a logistic regression to codes `[N, D]`: `(weights [classes, D], bias [classes], classes)`.

    With two classes there is one row, with positive logits for the second class (as in scikit-learn).

    Raises:
      UserError: fewer than two classes.
    """
    _check(labels)
    rows = some_rows(len(codes), LARGEST)
    codes, labels = codes[rows], labels[rows]
    mean, scale = codes.mean(axis=0), codes.std(axis=0) + 1e-6  # standardised, so that it converges
    with one_thread():
        fitted = fit_linear((codes - mean) / scale, labels)
    weights = fitted.coef_ / scale
    return weights, fitted.intercept_ - weights @ mean, fitted.classes_


def agreement(x: np.ndarray, labels: np.ndarray, target: int, *sets: np.ndarray) -> list[float]:
    """For each of `sets`, the share that a `classifier` fitted to x `[N, ...]` assigns to the class `target`.

    Raises:
      UserError: fewer than two classes.
    """
    predict = classifier(x, labels)
    return [float(np.mean(predict(one) == target)) for one in sets]


def classifier(x: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Fit a neural network with one hidden layer to x `[N, ...]`; return `x [M, ...] -> classes [M]`.

    Raises:
      UserError: fewer than two classes.
    """
    _check(labels)
    rows = some_rows(len(x), LARGEST)
    x, labels = x[rows].reshape(len(rows), -1), labels[rows]
    counts = np.unique(labels, return_counts=True)[1]
    # For early stopping scikit-learn holds out a tenth, with examples of each class.
    holds_out = counts.min() > 1 and len(x) >= 10 * len(counts)
    fitted = len(x) - holds_out * -(-len(x) // 10)
    network = require("sklearn.neural_network").MLPClassifier(
        (200,), batch_size=min(200, fitted), early_stopping=holds_out, max_iter=30, random_state=0
    )
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", require("sklearn.exceptions").ConvergenceWarning)  # need not be the best
        network.fit(x, labels)

    def predict(x: np.ndarray) -> np.ndarray:
        with one_thread():
            return network.predict(x.reshape(len(x), -1))

    return predict


def _check(labels: np.ndarray) -> None:
    if len(np.unique(labels)) < 2:
        raise UserError("A classifier needs labels of at least two classes, but the training set has one.")
