"""Comparison of clusters `[N]` with labels `[N]`, and clusters of a Gaussian mixture on codes `[N, D]`.

Both are integers; their values and their order do not matter.
"""

import numpy as np

from jaxvae.common.optional import require
from jaxvae.common.threads import one_thread
from jaxvae.distributions.em import fit_diagonal_mixture
from jaxvae.metrics.arrays import check_labels, check_rows


def in_use(probs: np.ndarray) -> dict[str, float]:
    """Return how many clusters are the likeliest one of a row of probs `[N, C]`, and the mean of their probability."""
    return {
        "used_clusters": len(np.unique(probs.argmax(axis=1))), "mean_probability": float(probs.max(axis=1).mean()),
    }  # fmt: skip


def agreement(clusters: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Compare clusters with classes.

    Args:
      clusters: `[N]` integers.
      labels: `[N]` integers, at least two different ones.

    Returns:
      "accuracy": share of the rows under the best one-to-one matching of clusters and classes (the Hungarian
        algorithm); rows of clusters without a class are wrong.
      "nmi": mutual information divided by the mean of both entropies.
      "ari": the adjusted Rand index.
      "purity": share of the rows that have the most frequent class of their cluster; it rises with the number of
        clusters.
      "used_clusters": the number of clusters with a row.

    Raises:
      UserError: mismatched shapes, values that are not integers, or labels of one class.
    """
    labels = check_labels(labels, len(labels))
    clusters = check_labels(clusters, len(labels), several=False)
    scorers = require("sklearn.metrics")
    table = scorers.cluster.contingency_matrix(labels, clusters)
    matched = require("scipy.optimize").linear_sum_assignment(table, maximize=True)
    return {
        "accuracy": float(table[matched].sum() / len(labels)),
        "nmi": float(scorers.normalized_mutual_info_score(labels, clusters)),
        "ari": float(scorers.adjusted_rand_score(labels, clusters)),
        "purity": float(table.max(axis=0).sum() / len(labels)),
        "used_clusters": table.shape[1],
    }


def mixture_baseline(codes: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, float]:
    """Return the `agreement` of `gaussian_mixture` on codes `[N, D]`, with as many clusters as classes."""
    return agreement(gaussian_mixture(codes, len(np.unique(labels)), seed), labels)


def gaussian_mixture(codes: np.ndarray, num: int, seed: int) -> np.ndarray:
    """Clusters `[N]` of a mixture of `num` diagonal Gaussians, by expectation maximisation on codes `[N, D]`.

    Codes are not rescaled.

    Raises:
      UserError: codes that are not finite, or fewer different ones than `num`.
    """
    codes = check_rows("codes", codes)
    mixture = fit_diagonal_mixture(codes, num, seed)
    with one_thread():
        return mixture.predict(codes)
