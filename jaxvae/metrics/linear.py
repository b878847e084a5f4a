"""The linear classifier of metrics and tools: logistic regression on standardised codes."""

import warnings
from typing import Any

import numpy as np

from jaxvae.common.optional import require

STEPS = 5_000  # at most, of L-BFGS: enough to converge on hard codes too


def standardised(fit: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standardise `[N, D]` and `[M, D]` by mean and scale of the first; a constant column is only centred."""
    scaler = require("sklearn.preprocessing").StandardScaler().fit(fit)
    return scaler.transform(fit), scaler.transform(other)


def fit_linear(codes: np.ndarray, labels: np.ndarray) -> Any:
    """Fit scikit-learn's `LogisticRegression` with its default penalty (L2, C = 1).

    Args:
      codes: `[N, D]`, `standardised`.
      labels: `[N]`, of at least two values.
    """
    with warnings.catch_warnings():
        # The warning left is of a line search that rounding ended at the optimum.
        warnings.simplefilter("ignore", require("sklearn.exceptions").ConvergenceWarning)
        return require("sklearn.linear_model").LogisticRegression(max_iter=STEPS).fit(codes, labels)
