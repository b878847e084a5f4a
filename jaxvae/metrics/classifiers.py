"""Classifiers of codes, of scikit-learn: the second step of "M1" (Kingma et al. 2014, arXiv:1406.5298, section 3.1)."""

import warnings
from collections.abc import Callable

import numpy as np

from jaxvae.common.errors import unknown
from jaxvae.common.optional import require
from jaxvae.common.threads import one_thread
from jaxvae.metrics.arrays import check_labels, check_rows
from jaxvae.metrics.linear import fit_linear

Predict = Callable[[np.ndarray], np.ndarray]  # codes [M, D] -> probabilities [M, C]


def _svm(codes: np.ndarray, labels: np.ndarray) -> Predict:
    made = require("sklearn.svm").SVC(C=10.0, decision_function_shape="ovr").fit(codes, labels)

    def predict(rows: np.ndarray) -> np.ndarray:
        margin = made.decision_function(rows)
        margin = np.stack([-margin, margin], axis=1) if margin.ndim == 1 else margin
        grown = np.exp(margin - margin.max(axis=1, keepdims=True))
        return grown / grown.sum(axis=1, keepdims=True)

    return predict


def _network(codes: np.ndarray, labels: np.ndarray) -> Predict:
    made = require("sklearn.neural_network").MLPClassifier((200,), alpha=1e-2, max_iter=500, random_state=0)
    return made.fit(codes, labels).predict_proba


CLASSIFIERS: dict[str, Callable[[np.ndarray, np.ndarray], Predict]] = {
    "linear": lambda codes, labels: fit_linear(codes, labels).predict_proba,
    "svm": _svm,
    "network": _network,
}


def fit_classifier(name: str, codes: np.ndarray, labels: np.ndarray, every: np.ndarray) -> tuple[np.ndarray, Predict]:
    """Fit a classifier to codes with labels.

    Args:
      name: "linear" (logistic regression), "svm" (RBF kernel, C = 10; its probabilities are the softmax of its margins,
        of which only the order means something) or "network" (one hidden layer of 200).
      codes: `[N, D]`.
      labels: `[N]` integers, of two classes or more.
      every: `[M, D]`, all codes, by which codes are standardised: this needs no labels.

    Returns:
      The classes `[C]`, ascending, and `codes [M, D] -> probabilities [M, C]`.

    Raises:
      UserError: an unknown name, labels of one class, or codes that are not finite.
    """
    if name not in CLASSIFIERS:
        raise unknown("classifier", name, CLASSIFIERS)
    codes, every = check_rows("codes", codes), check_rows("codes", every)
    labels = check_labels(labels, len(codes))
    scaler = require("sklearn.preprocessing").StandardScaler().fit(every)
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", require("sklearn.exceptions").ConvergenceWarning)  # need not be the best
        predict = CLASSIFIERS[name](scaler.transform(codes), labels)

    def of_codes(rows: np.ndarray) -> np.ndarray:
        with one_thread():
            return predict(scaler.transform(np.asarray(rows, np.float64)))

    return np.unique(labels), of_codes
