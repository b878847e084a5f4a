"""The one linear classifier that metrics and tools ask: a logistic regression on standardised codes."""

import warnings
from typing import Any

import numpy as np

from jaxvae.common.optional import require

STEPS = 5_000  # of L-BFGS, at most: those that end a fit on hard codes too


def standardised(fit: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both, `[N, D]` and `[M, D]`, with the mean and the scale of the first; a constant column is only centred."""
    scaler = require("sklearn.preprocessing").StandardScaler().fit(fit)
    return scaler.transform(fit), scaler.transform(other)


def fit_linear(codes: np.ndarray, labels: np.ndarray) -> Any:
    """A scikit-learn `LogisticRegression` with scikit-learn's default penalty (L2, C = 1).

    Args:
      codes: `[N, D]`, `standardised`.
      labels: `[N]`, of two values at least.
    """
    with warnings.catch_warnings():
        # What L-BFGS may still say is that rounding ended a line search, at the optimum.
        warnings.simplefilter("ignore", require("sklearn.exceptions").ConvergenceWarning)
        return require("sklearn.linear_model").LogisticRegression(max_iter=STEPS).fit(codes, labels)
