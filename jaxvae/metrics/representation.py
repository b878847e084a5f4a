"""Prediction of labels `[N]` from codes `[N, D]`, by classifiers and by clusters.

Labels are integers; their values and their order do not matter.
"""

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.optional import require
from jaxvae.common.threads import one_thread
from jaxvae.metrics.arrays import check_labels, check_rows, same_width
from jaxvae.metrics.clusters import agreement
from jaxvae.metrics.linear import fit_linear, standardised

SILHOUETTE_ROWS = 5_000  # the cost grows with the square of the rows


def linear_probe(
    codes_train: np.ndarray, labels_train: np.ndarray, codes_test: np.ndarray, labels_test: np.ndarray
) -> dict[str, float]:
    """Test accuracy of a logistic regression on codes standardised by the training set: `{"accuracy": ...}`.

    The regression has scikit-learn's default penalty (L2, C = 1). A test row whose label is not in the training set
    counts as wrong.

    Args:
      codes_train: `[N, D]`.
      labels_train: `[N]` integers, at least two different ones.
      codes_test: `[M, D]`.
      labels_test: `[M]` integers.

    Raises:
      UserError: mismatched shapes, non-finite codes, non-integer labels, or labels of one class.
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
    """Fit `linear_probe` to `per_class` random training rows of each class, `draws` times.

    Codes are standardised by all training codes, which needs no labels.

    Args:
      codes_train: `[N, D]`.
      labels_train: `[N]` integers, at least two different ones.
      codes_test: `[M, D]`.
      labels_test: `[M]` integers.
      per_class: training rows per class.
      draws: number of random subsets.
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
            f"few_labels got per_class={per_class} and draws={draws}; both must be at least 1, and the rarest class "
            f"has {counts.min()} training rows. Take fewer labels, or give more rows."
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
    """Test accuracy of the k-nearest-neighbour classifier with Euclidean distance: `{"accuracy": ...}`.

    Codes are not rescaled: their scale is part of the latent space.

    Args:
      codes_train: `[N, D]`.
      labels_train: `[N]` integers, at least two different ones.
      codes_test: `[M, D]`.
      labels_test: `[M]` integers.
      k: number of neighbours, at most N.

    Raises:
      UserError: as `linear_probe`; k out of its range.
    """
    train, test = _check_pair(codes_train, labels_train, codes_test, labels_test)
    if not 1 <= k <= len(train):
        raise UserError(f"k is {k}; with {len(train)} training rows it must be from 1 to {len(train)}.")
    neighbours = require("sklearn.neighbors").KNeighborsClassifier(k).fit(train, labels_train)
    return {"accuracy": float(neighbours.score(test, labels_test))}


def clustering(codes: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, float]:
    """Compare the clusters of k-means, as many as classes, with the classes.

    Args:
      codes: `[N, D]`, not rescaled.
      labels: `[N]` integers, at least two different ones.
      seed: of the ten starts of k-means, and of the rows for the silhouette.

    Returns:
      `{"accuracy", "nmi", "ari", "silhouette"}`: the first three as `clusters.agreement`; the mean silhouette of the
      clusters, without labels, on at most 5,000 rows.

    Raises:
      UserError: mismatched shapes, non-finite codes, labels of one class, or too few different codes.
    """
    codes, labels = check_rows("codes", codes), check_labels(labels, len(codes))
    classes = len(np.unique(labels))
    different = len(np.unique(codes, axis=0))
    if not classes <= different or len(codes) <= classes:
        raise UserError(
            f"There are {classes} classes, but {len(codes)} rows with {different} different codes; k-means needs as "
            "many different codes as classes, and more rows. Give more rows, or check whether the latents collapsed."
        )
    with one_thread():
        found = require("sklearn.cluster").KMeans(classes, n_init=10, random_state=seed).fit_predict(codes)
    rows = np.random.default_rng(seed).permutation(len(codes))[:SILHOUETTE_ROWS]
    if not 2 <= len(np.unique(found[rows])) < len(rows):
        rows = np.arange(len(codes))
    scores = agreement(found, labels)
    silhouette = require("sklearn.metrics").silhouette_score(codes[rows], found[rows])
    return {**{name: scores[name] for name in ("accuracy", "nmi", "ari")}, "silhouette": float(silhouette)}


def _check_pair(
    codes_train: np.ndarray, labels_train: np.ndarray, codes_test: np.ndarray, labels_test: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    train, test = check_rows("training codes", codes_train), check_rows("test codes", codes_test)
    same_width("codes", train, test)
    check_labels(labels_train, len(train))
    check_labels(labels_test, len(test), several=False)
    return train, test
