"""Disentanglement metrics from classifiers that predict the true factors `[N, F]` from codes `[N, D]`.

Classifiers are fitted to half of the rows and scored on the other half. The same `seed` gives the same bits.
"""

from collections.abc import Callable, Iterable

import numpy as np

from jaxvae.common.optional import require
from jaxvae.metrics.information import check
from jaxvae.metrics.linear import fit_linear, standardised

Progress = Callable[[list[np.ndarray]], Iterable[np.ndarray]]


def sap(codes: np.ndarray, factors: np.ndarray, seed: int, progress: Progress = iter) -> dict[str, float]:
    """Separated attribute predictability (arXiv:1711.00848, section 3): `{"sap": ...}`.

    A factor with K values is predicted from one code at a time by a decision tree with K leaves and balanced classes,
    that is by at most K - 1 thresholds on the code. The score is the gap between the balanced accuracies of the two
    best codes, averaged over the factors that vary (`check`). A constant code has the accuracy of chance, 1 / K.

    Args:
      codes: `[N, D]`, D at least 2.
      factors: `[N, F]` integers.
      seed: of the split into halves, one to fit and one to score.
      progress: wraps the loop over the factors, to show how far it is.

    Raises:
      UserError: as `check`.
    """
    recall, tree_of = require("sklearn.metrics").recall_score, require("sklearn.tree").DecisionTreeClassifier
    codes, factors = check(codes, factors, min_codes=2)
    rng, gaps = np.random.default_rng(seed), []
    for factor in progress(list(factors.T)):
        fit, test = _halves(rng, factor)
        tree = tree_of(max_leaf_nodes=factor.max() + 1, class_weight="balanced", random_state=seed)
        guesses = [tree.fit(code[fit, None], factor[fit]).predict(code[test, None]) for code in codes.T]
        labels = np.unique(factor[test])  # a value that only the fitted half has does not count
        scores = np.sort([recall(factor[test], guess, labels=labels, average="macro") for guess in guesses])
        gaps.append(scores[-1] - scores[-2])
    return {"sap": float(np.mean(gaps))}


def dci(
    codes: np.ndarray, factors: np.ndarray, seed: int, trees: int = 50, progress: Progress = iter
) -> dict[str, float]:
    """Disentanglement, completeness and informativeness (Eastwood & Williams, ICLR 2018).

    Each factor that varies (`check`) is predicted from all codes by a random forest whose splits choose among all
    codes; a code's importance is the impurity that its splits remove. Leaves hold at least 5 rows, so that fewer splits
    fit noise.

    Args:
      codes: `[N, D]`, D at least 2.
      factors: `[N, F]` integers, at least two of which vary.
      seed: of the forests, and of the split into halves, one to fit and one to score.
      trees: in each forest.
      progress: wraps the loop over the factors, to show how far it is.

    Returns:
      `{"dci_disentanglement": ..., "dci_completeness": ..., "dci_informativeness": ...}`: the first two are of
      `dci_scores`, the last is the mean accuracy on the half that is scored.

    Raises:
      UserError: as `check`.
    """
    codes, factors = check(codes, factors, min_codes=2, min_factors=2)
    rng, importances, accuracies = np.random.default_rng(seed), [], []
    for factor in progress(list(factors.T)):
        fit, test = _halves(rng, factor)
        forest = require("sklearn.ensemble").RandomForestClassifier(
            trees, max_features=1.0, min_samples_leaf=5, n_jobs=1, random_state=seed
        )
        forest.fit(codes[fit], factor[fit])
        importances.append(forest.feature_importances_)
        accuracies.append(forest.score(codes[test], factor[test]))
    return dci_scores(np.stack(importances, axis=1)) | {"dci_informativeness": float(np.mean(accuracies))}


def dci_scores(importances: np.ndarray) -> dict[str, float]:
    """Score the importances `[D, F]` of codes for factors: `{"dci_disentanglement": ..., "dci_completeness": ...}`.

    Disentanglement: one minus the entropy (base F) of each code's normalised importances, weighted by the code's share
    of all importance. Completeness: one minus the entropy (base D) of each factor's normalised importances, averaged
    over factors. A row or column of zeros scores 0. D and F are at least 2, the entries at least 0.
    """
    weights = importances.sum(axis=1)
    disentanglement = np.average(_purity(importances), weights=weights) if weights.any() else 0.0
    scores = {"dci_disentanglement": disentanglement, "dci_completeness": np.mean(_purity(importances.T))}
    return {name: float(value) for name, value in scores.items()}


def _purity(rows: np.ndarray) -> np.ndarray:
    """One minus the entropy (base C) of each normalised row of `[R, C]`: `[R]`."""
    total = rows.sum(axis=1, keepdims=True)
    share = np.divide(rows, total, out=np.full(rows.shape, 1 / rows.shape[1]), where=total > 0)
    return 1 + np.sum(share * np.log(np.where(share > 0, share, 1.0)), axis=1) / np.log(rows.shape[1])


def explicitness(codes: np.ndarray, factors: np.ndarray, seed: int) -> dict[str, float]:
    """Explicitness (arXiv:1802.05312, section 3): whether factors are linearly predictable. `{"explicitness": ...}`.

    For each value of a factor, a logistic regression on all codes separates rows with the value from the rest. Its area
    under the ROC curve is averaged over values, then over the factors that vary (`check`). Chance is 0.5. The
    classifier is linear: where a single code increases with the factor, middle values score near chance, and a score of
    1 needs codes that separate each value from the rest. Values with a single row are left out.

    Args:
      codes: `[N, D]`.
      factors: `[N, F]` integers.
      seed: of the split into halves, one to fit and one to score.

    Raises:
      UserError: as `check`.
    """
    area_under_roc = require("sklearn.metrics").roc_auc_score
    codes, factors = check(codes, factors)
    rng, scores = np.random.default_rng(seed), []
    for factor in factors.T:
        fit, test = _halves(rng, factor)
        areas, (seen, unseen) = [], standardised(codes[fit], codes[test])
        for value in np.intersect1d(factor[fit], factor[test]):
            classifier = fit_linear(seen, factor[fit] == value)
            areas.append(area_under_roc(factor[test] == value, classifier.decision_function(unseen)))
        scores.append(np.mean(areas))
    return {"explicitness": float(np.mean(scores))}


def _halves(rng: np.random.Generator, factor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split the rows into two random halves; each value with at least two rows is in both."""
    shuffled = rng.permutation(len(factor))
    ordered = shuffled[np.argsort(factor[shuffled], kind="stable")]
    return ordered[::2], ordered[1::2]
