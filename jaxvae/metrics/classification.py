"""Scores of class probabilities `[N, C]` against labels."""

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.metrics.arrays import check_labels, check_rows

BINS = 15  # of the calibration error, equally wide


def scores(probs: np.ndarray, classes: np.ndarray, labels: np.ndarray) -> dict[str, object]:
    """Judge a classifier: accuracy, mean negative log-probability, calibration error and confusion matrix.

    Args:
      probs: `[N, C]`, rows that sum to 1.
      classes: `[C]`, the label that each column stands for.
      labels: `[N]` integers. One that is not in `classes` counts as wrong.

    Returns:
      "accuracy"; "nll", the mean of -log p(label) in nats, over the labels in `classes`; "calibration_error", the mean
      over examples of |accuracy - mean confidence| of their bin of confidence, in 15 equal bins (Guo et al. 2017,
      arXiv:1706.04599, equation 3); "confusion" `[C, C]`, counts of examples with the label of each row that were given
      the class of each column; "classes".

    Raises:
      UserError: no rows, or arrays that do not belong together.
    """
    probs, classes = check_rows("probabilities", probs), np.asarray(classes)
    labels = check_labels(labels, len(probs), several=False)
    if probs.shape[1] != len(classes):
        raise UserError(f"The probabilities have shape {probs.shape} for {len(classes)} classes; they must be [N, C].")
    given, confidence = classes[probs.argmax(axis=1)], probs.max(axis=1)
    right, known = given == labels, np.isin(labels, classes)
    index = np.searchsorted(classes, labels[known])
    confusion = np.zeros((len(classes), len(classes)), int)
    np.add.at(confusion, (index, probs.argmax(axis=1)[known]), 1)
    nll = -np.log(np.maximum(probs[known, index], np.finfo(np.float32).tiny)).mean() if known.any() else np.nan
    return {
        "accuracy": float(right.mean()), "nll": float(nll), "calibration_error": calibration_error(confidence, right),
        "confusion": confusion.tolist(), "classes": classes.tolist(),
    }  # fmt: skip


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error: the mean over examples of |accuracy - mean confidence| of their bin.

    Args:
      confidence: `[N]` in [0, 1], the probability of the class that was given.
      right: `[N]` bool.
      bins: number of equal bins of the confidence; the upper edge belongs to a bin.
    """
    index = np.clip(np.ceil(np.asarray(confidence) * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(index, np.asarray(right, np.float64) - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(index))
