"""Mixtures of diagonal Gaussians fitted to codes: by expectation maximisation (scikit-learn), or to given clusters."""

import warnings
from typing import Any, NamedTuple

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.optional import require
from jaxvae.common.threads import one_thread

STARTS = 5  # the one of highest likelihood is taken
LEAST_VARIANCE = 1e-6  # as scikit-learn adds
LEAST_CODES = 10  # of which variances are estimated


class Moments(NamedTuple):
    """A mixture of diagonal Gaussians: weights `[C]`, means and variances `[C, D]`."""

    weights: np.ndarray
    means: np.ndarray
    variances: np.ndarray


def moments_of_clusters(codes: np.ndarray, clusters: np.ndarray, num: int) -> Moments:
    """Return shares, means and variances of the clusters 0 to `num` - 1 of codes `[N, D]`, with LEAST_VARIANCE added.

    A cluster of fewer than LEAST_CODES codes has the variances of all codes, without any also their means and the
    share of one code.
    """
    codes = np.asarray(codes, np.float64)
    parts = [codes[clusters == c] for c in range(num)]
    means = np.stack([np.mean(part if len(part) else codes, axis=0) for part in parts])
    variances = np.stack([np.var(part if len(part) >= LEAST_CODES else codes, axis=0) for part in parts])
    counts = np.maximum([len(part) for part in parts], 1)
    return Moments(counts / counts.sum(), means, variances + LEAST_VARIANCE)


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
