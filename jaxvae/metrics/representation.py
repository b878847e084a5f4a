"""How well codes `[N, D]` tell the labels `[N]`, by classifiers and by clusters.

Labels are integers; which ones, and in which order, does not matter.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment

from jaxvae.common.errors import UserError
from jaxvae.common.optional import require
from jaxvae.common.threads import one_thread
from jaxvae.metrics.arrays import check_labels, check_rows, same_width
from jaxvae.metrics.linear import fit_linear, standardised

SILHOUETTE_ROWS = 5_000  # its cost grows with the square of the rows


def linear_probe(
    codes_train: np.ndarray, labels_train: np.ndarray, codes_test: np.ndarray, labels_test: np.ndarray
) -> dict[str, float]:
    """Test accuracy of a logistic regression on codes standardised by the training set: `{"accuracy": ...}`.

    The regression has scikit-learn's default penalty (L2, C = 1). A test row whose label no training row has is wrong.

    Args:
      codes_train: `[N, D]`.
      labels_train: `[N]` integers, at least two different ones.
      codes_test: `[M, D]`.
      labels_test: `[M]` integers.

    Raises:
      UserError: shapes that do not agree, codes that are not finite, labels of one class or no integers.
    """
    train, test = _check_pair(codes_train, labels_train, codes_test, labels_test)
    train, test = standardised(train, test)
    return {"accuracy": float(fit_linear(train, labels_train).score(test, labels_test))}


def few_labels(
    codes_train: np.ndarray,
    labels_train: np.ndarray,
    codes_test: np.ndarray,
    labels_test: np.ndarray,
    per_class: int,
    draws: int = 10,
    seed: int = 0,
) -> dict[str, float]:
    """As `linear_probe`, fitted to `per_class` random training rows of each class; `draws` times.

    Codes are standardised by all training codes, which need no labels.

    Args:
      codes_train: `[N, D]`.
      labels_train: `[N]` integers, at least two different ones.
      codes_test: `[M, D]`.
      labels_test: `[M]` integers.
      per_class: labels used of each class.
      draws: how often rows are drawn anew.
      seed: of the draws.

    Returns:
      `{"accuracy": mean over draws, "accuracy_std": standard deviation over draws}`.

    Raises:
      UserError: as `linear_probe`; a class with fewer than `per_class` training rows.
    """
    train, test = _check_pair(codes_train, labels_train, codes_test, labels_test)
    labels = np.asarray(labels_train)
    classes, counts = np.unique(labels, return_counts=True)
    if per_class < 1 or draws < 1 or counts.min() < per_class:
        raise UserError(
            f"{per_class} labels per class and {draws} draws were asked for; both must be 1 or more, and the rarest "
            f"class has {counts.min()} training rows. Ask for fewer labels, or give more rows."
        )
    train, test = standardised(train, test)
    rng, accuracies = np.random.default_rng(seed), []
    for _ in range(draws):
        rows = np.concatenate([rng.choice(np.flatnonzero(labels == c), per_class, replace=False) for c in classes])
        accuracies.append(fit_linear(train[rows], labels[rows]).score(test, labels_test))
    return {"accuracy": float(np.mean(accuracies)), "accuracy_std": float(np.std(accuracies))}


def knn(
    codes_train: np.ndarray, labels_train: np.ndarray, codes_test: np.ndarray, labels_test: np.ndarray, k: int = 10
) -> dict[str, float]:
    """Test accuracy of the majority of the k nearest training codes, by Euclidean distance: `{"accuracy": ...}`.

    Codes are taken as they are: their scale is part of the latent space.

    Args:
      codes_train: `[N, D]`.
      labels_train: `[N]` integers, at least two different ones.
      codes_test: `[M, D]`.
      labels_test: `[M]` integers.
      k: neighbours, at most N.

    Raises:
      UserError: as `linear_probe`; k out of its range.
    """
    train, test = _check_pair(codes_train, labels_train, codes_test, labels_test)
    if not 1 <= k <= len(train):
        raise UserError(f"k is {k}; with {len(train)} training rows it must be from 1 to {len(train)}.")
    neighbours = require("sklearn.neighbors").KNeighborsClassifier(k).fit(train, labels_train)
    return {"accuracy": float(neighbours.score(test, labels_test))}


def clustering(codes: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, float]:
    """How well k-means, with as many clusters as there are classes, finds the classes.

    Args:
      codes: `[N, D]`, taken as they are.
      labels: `[N]` integers, at least two different ones.
      seed: of the ten starts of k-means, and of the rows that the silhouette is measured on.

    Returns:
      `{"accuracy", "nmi", "ari", "silhouette"}`: accuracy when each cluster stands for one class, matched so that it is
      highest; mutual information over the mean of both entropies; the Rand index adjusted for chance; the mean
      silhouette of the clusters, without labels, on at most 5,000 rows.

    Raises:
      UserError: shapes that do not agree, codes that are not finite, labels of one class, or too few different codes.
    """
    codes, labels = check_rows("codes", codes), check_labels(labels, len(codes))
    classes = len(np.unique(labels))
    different = len(np.unique(codes, axis=0))
    if not classes <= different or len(codes) <= classes:
        raise UserError(
            f"There are {classes} classes, but {len(codes)} rows with {different} different codes; k-means needs as "
            "many different codes as classes, and more rows. Give more rows, or see whether the latents collapsed."
        )
    with one_thread():
        found = require("sklearn.cluster").KMeans(classes, n_init=10, random_state=seed).fit_predict(codes)
    scorers = require("sklearn.metrics")
    table = scorers.cluster.contingency_matrix(labels, found)
    matched = linear_sum_assignment(table, maximize=True)
    rows = np.random.default_rng(seed).permutation(len(codes))[:SILHOUETTE_ROWS]
    if not 2 <= len(np.unique(found[rows])) < len(rows):
        rows = np.arange(len(codes))
    scores = {
        "accuracy": table[matched].sum() / len(codes),
        "nmi": scorers.normalized_mutual_info_score(labels, found),
        "ari": scorers.adjusted_rand_score(labels, found),
        "silhouette": scorers.silhouette_score(codes[rows], found[rows]),
    }
    return {name: float(value) for name, value in scores.items()}


def _check_pair(
    codes_train: np.ndarray, labels_train: np.ndarray, codes_test: np.ndarray, labels_test: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    train, test = check_rows("training codes", codes_train), check_rows("test codes", codes_test)
    same_width("codes", train, test)
    check_labels(labels_train, len(train))
    check_labels(labels_test, len(test), several=False)
    return train, test
