"""Expectation maximisation of a mixture of diagonal Gaussians, by scikit-learn."""

import warnings
from typing import Any

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.optional import require
from jaxvae.common.threads import one_thread

STARTS = 5  # the one of highest likelihood is taken


def fit_diagonal_mixture(codes: np.ndarray, num: int, seed: int) -> Any:
    """Fit a mixture of `num` diagonal Gaussians to codes `[N, D]`, which are not rescaled: a `GaussianMixture`.

    Raises:
      UserError: fewer different codes than `num`.
    """
    codes = np.asarray(codes, np.float64)
    if (different := len(np.unique(codes, axis=0))) < num:
        raise UserError(
            f"A mixture of {num} components needs as many different codes, and there are {different} among "
            f"{len(codes)} rows. Give more rows or fewer components, or check whether the latents collapsed."
        )
    mixture = require("sklearn.mixture").GaussianMixture(num, covariance_type="diag", n_init=STARTS, random_state=seed)
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", require("sklearn.exceptions").ConvergenceWarning)  # need not be the best
        return mixture.fit(codes)
