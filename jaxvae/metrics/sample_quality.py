"""Distances between samples and data in a space of features `[N, D]` (`features.py`).

Numbers are comparable only for the same features and the same numbers of rows.
"""

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.optional import require
from jaxvae.metrics.arrays import check_rows, same_width


def frechet_distance(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Squared Fréchet distance between Gaussians with the moments of a and b: `{"frechet_distance": ...}`.

    With features of a classifier this is the FID (arXiv:1706.08500, equation 6). The bias is upwards, and larger for
    fewer rows: about 2D/N + D(D + 1)/2N for N rows each of the same standard normal.

    Args:
      a: `[N, D]`, N at least 2.
      b: `[M, D]`, M at least 2.

    Raises:
      UserError: too few rows, different dimensions, or non-finite values.
    """
    a, b = check_rows("features", a, 2), check_rows("features", b, 2)
    same_width("features", a, b)
    moments = [(x.mean(axis=0), np.cov(x, rowvar=False).reshape(x.shape[1], -1)) for x in (a, b)]
    return {"frechet_distance": frechet_of_moments(*moments[0], *moments[1])}


def frechet_of_moments(mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray) -> float:
    """|m_a - m_b|² + tr(C_a + C_b - 2 (C_a^½ C_b C_a^½)^½), of means `[D]` and covariances `[D, D]` of any rank.

    The trace is the least |C_a^½ - C_b^½ U|² over rotations U: a sum of squares, so that it is never negative, and
    exact to rounding where both are alike.
    """
    root_a, root_b = _root(cov_a), _root(cov_b)
    rotation, _ = require("scipy.linalg").orthogonal_procrustes(root_b, root_a)
    return float(np.sum((mean_a - mean_b) ** 2) + np.sum((root_b @ rotation - root_a) ** 2))


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    noise = len(values) * np.finfo(np.float64).eps * values[-1]  # rounding errors of zero eigenvalues, of either sign
    return (vectors * np.sqrt(np.where(values > noise, values, 0.0))) @ vectors.T


def precision_recall_density_coverage(
    real: np.ndarray, fake: np.ndarray, k: int = 5, memory_mb: float = 128.0
) -> dict[str, float]:
    """Precision and recall (arXiv:1904.06991, equation 2), density and coverage (arXiv:2002.09797, section 3).

    Each row has a closed ball that reaches its kth neighbour within its set. Precision: the share of fakes in any ball
    of a real row. Recall: the share of reals in any ball of a fake row. Density: the mean number of real balls that a
    fake is in, divided by k. Coverage: the share of real balls that contain a fake. Where both sets come from the same
    distribution, density is 1 in expectation, and coverage 1 - ∏ᵢ (N - i) / (N + M - i), i from 1 to k.

    Args:
      real: `[N, D]`, N above k.
      fake: `[M, D]`, M above k.
      k: rank of the neighbour that sets the radius of a ball.
      memory_mb: bound on the distances held at a time; it does not change results.

    Returns:
      `{"precision", "recall", "density", "coverage"}`. The cost is (N + M)² D operations: above some hundred
      dimensions, map to fewer first (`pca_features`).

    Raises:
      UserError: k below 1 or too few rows for it, different dimensions, or non-finite values.
    """
    if k < 1:
        raise UserError(f"k is {k}; it must be at least 1.")
    real, fake = check_rows("real features", real, k + 1), check_rows("fake features", fake, k + 1)
    same_width("features", real, fake)
    real_radius, fake_radius = _radii(real, k, memory_mb), _radii(fake, k, memory_mb)
    inside, recalled, covered = np.zeros(len(fake), np.int64), 0, 0
    for rows in _chunks(len(real), len(fake), memory_mb):
        distance = _distances(real[rows], fake)
        in_real = distance <= real_radius[rows, None]
        inside += in_real.sum(axis=0)
        covered += in_real.any(axis=1).sum()
        recalled += (distance <= fake_radius).any(axis=1).sum()
    scores = {
        "precision": np.mean(inside > 0),
        "recall": recalled / len(real),
        "density": inside.mean() / k,
        "coverage": covered / len(real),
    }
    return {name: float(value) for name, value in scores.items()}


def _radii(x: np.ndarray, k: int, memory_mb: float) -> np.ndarray:
    """Distance `[N]` of each row of `[N, D]` to its kth neighbour; the 0th is the row itself."""
    chunks = _chunks(len(x), len(x), memory_mb)
    return np.concatenate([np.partition(_distances(x[rows], x), k, axis=1)[:, k] for rows in chunks])


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distances `[N, M]` of the rows of a and b."""
    return require("scipy.spatial.distance").cdist(a, b)


def _chunks(num: int, width: int, memory_mb: float) -> list[slice]:
    size = max(1, int(memory_mb * 1e6 / (2 * 8 * width)))  # two arrays of doubles at a time
    return [slice(i, i + size) for i in range(0, num, size)]
