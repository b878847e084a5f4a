"""How well codes `[N, D]` tell the labels `[N]`, with labels and without; outliers by score.

Labels are integers; which ones, and in which order, does not matter.
"""

import warnings
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    adjusted_rand_score,
    normalized_mutual_info_score,
    roc_auc_score,
    silhouette_score,
)
from sklearn.metrics.cluster import contingency_matrix
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from jaxvae.errors import UserError

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
    train, test = _standardised(train, test)
    return {"accuracy": _probe(train, labels_train, test, labels_test)}


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
    train, test = _standardised(train, test)
    rng, accuracies = np.random.default_rng(seed), []
    for _ in range(draws):
        rows = np.concatenate([rng.choice(np.flatnonzero(labels == c), per_class, replace=False) for c in classes])
        accuracies.append(_probe(train[rows], labels[rows], test, labels_test))
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
    return {"accuracy": float(KNeighborsClassifier(k).fit(train, labels_train).score(test, labels_test))}


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
    codes, labels = check_rows("codes", codes), _check_labels(labels, len(codes))
    classes = len(np.unique(labels))
    different = len(np.unique(codes, axis=0))
    if not classes <= different or len(codes) <= classes:
        raise UserError(
            f"There are {classes} classes, but {len(codes)} rows with {different} different codes; k-means needs as "
            "many different codes as classes, and more rows. Give more rows, or see whether the latents collapsed."
        )
    with threadpool_limits(1):  # threads add up in any order, and the last bits with them
        kmeans = KMeans(classes, n_init=10, random_state=seed)  # pyright: ignore[reportArgumentType]
        found = kmeans.fit_predict(codes)
    table = contingency_matrix(labels, found)
    matched = linear_sum_assignment(table, maximize=True)
    rows = np.random.default_rng(seed).permutation(len(codes))[:SILHOUETTE_ROWS]
    if not 2 <= len(np.unique(found[rows])) < len(rows):
        rows = np.arange(len(codes))
    scores = {
        "accuracy": table[matched].sum() / len(codes),
        "nmi": normalized_mutual_info_score(labels, found),
        "ari": adjusted_rand_score(labels, found),
        "silhouette": silhouette_score(codes[rows], found[rows]),
    }
    return {name: float(value) for name, value in scores.items()}


def outlier_auroc(scores_in: np.ndarray, scores_out: np.ndarray) -> dict[str, float]:
    """The chance that an outlier scores higher than an inlier, ties half: `{"auroc": ...}`, the area under the ROC.

    Args:
      scores_in: `[N]` of data like the training set's; higher means stranger (-log p(x) in nats, say).
      scores_out: `[M]` of other data.

    Raises:
      UserError: no scores, or some that are not finite.
    """
    given = [np.asarray(scores, np.float64) for scores in (scores_in, scores_out)]
    for scores in given:
        if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
            raise UserError(
                f"Scores of the shape {list(scores.shape)} were given, {int(np.sum(~np.isfinite(scores)))} of them NaN "
                "or infinite; an AUROC needs finite scores [N] and [M], one at least of each."
            )
    is_out = np.repeat([0, 1], [len(scores) for scores in given])
    return {"auroc": float(roc_auc_score(is_out, np.concatenate(given)))}


def check_rows(name: str, rows: np.ndarray, least: int = 1) -> np.ndarray:
    """`rows` as float64 `[N, D]`; UserError where they are no finite rows, or fewer than `least`. `name` is plural."""
    rows = np.asarray(rows, np.float64)
    if rows.ndim != 2 or len(rows) < least or not rows.shape[1]:
        raise UserError(
            f"The {name} have the shape {list(rows.shape)}; what is needed is [N, D] with N at least {least}. Flatten "
            "each example to one row, or give more rows."
        )
    if broken := int(np.sum(~np.isfinite(rows).all(axis=1))):
        raise UserError(
            f"The {name} are NaN or infinite in {broken} of {len(rows)} rows, but must be finite. Look whether "
            "training diverged."
        )
    return rows


def same_width(name: str, one: np.ndarray, other: np.ndarray) -> None:
    """UserError where two `[N, D]` and `[M, D']` have D other than D'. `name` is plural."""
    if one.shape[1] != other.shape[1]:
        raise UserError(
            f"The {name} have {one.shape[1]} dimensions in one set and {other.shape[1]} in the other, but must have "
            "the same. Take both from the same map."
        )


def _check_labels(labels: np.ndarray, num: int, several: bool = True) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.shape != (num,) or labels.dtype.kind not in "iub":
        raise UserError(
            f"The labels are {labels.dtype} of the shape {list(labels.shape)} beside {num} rows of codes; what is "
            "needed is one integer for each row. Take codes and labels from the same split."
        )
    if several and len(np.unique(labels)) < 2:
        raise UserError(
            f"All {num} labels are of one class, but at least two are needed. Give rows of several classes."
        )
    return labels


def _check_pair(
    codes_train: np.ndarray, labels_train: np.ndarray, codes_test: np.ndarray, labels_test: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    train, test = check_rows("training codes", codes_train), check_rows("test codes", codes_test)
    same_width("codes", train, test)
    _check_labels(labels_train, len(train))
    _check_labels(labels_test, len(test), several=False)
    return train, test


def _standardised(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both, with the mean and the scale of the first; a constant column is only centred."""
    scaler: Any = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test)


def _probe(train: np.ndarray, labels_train: np.ndarray, test: np.ndarray, labels_test: np.ndarray) -> float:
    with warnings.catch_warnings():
        # Many steps; what L-BFGS may still say is that rounding ended a line search, at the optimum.
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier = LogisticRegression(max_iter=5_000).fit(train, labels_train)
    return float(classifier.score(test, labels_test))
