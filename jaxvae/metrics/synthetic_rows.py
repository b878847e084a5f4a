"""Judge synthetic rows of a table: whether classifiers tell them from real ones, and what can be learned from them.

Rows are encoded as `[N, D]` floats, categories one-hot. The same `seed` gives the same bits.
"""

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.optional import require
from jaxvae.metrics.arrays import check_labels, check_rows, same_width
from jaxvae.metrics.linear import fit_linear, standardised

TREES, LEAF = 100, 2  # of a random forest, and the least rows in a leaf
FOLDS = 5


def two_sample(real: np.ndarray, fake: np.ndarray, seed: int) -> dict[str, float]:
    """AUROC of classifiers that tell synthetic from real rows: 0.5 is perfect, 1 is perfect separation.

    Each row is scored by a classifier that was fitted to the other four fifths (Lopez-Paz & Oquab 2017,
    arXiv:1610.06545, with the AUROC instead of the accuracy).

    Args:
      real: `[N, D]`, rows that the model was not trained on.
      fake: `[M, D]`.
      seed: of the folds and of the forest.

    Returns:
      `{"auroc_forest": ..., "auroc_linear": ...}`, of a random forest and of a logistic regression.

    Raises:
      UserError: fewer than 5 rows of a kind, rows that are not finite, or rows of two widths.
    """
    real, fake = check_rows("real rows", real, FOLDS), check_rows("synthetic rows", fake, FOLDS)
    same_width("rows", real, fake)
    x, is_fake = np.concatenate([real, fake]), np.repeat([0, 1], [len(real), len(fake)])
    scores = {"forest": np.zeros(len(x)), "linear": np.zeros(len(x))}
    folds = require("sklearn.model_selection").StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for fit, score in folds.split(x, is_fake):
        scores["forest"][score] = _forest(seed).fit(x[fit], is_fake[fit]).predict_proba(x[score])[:, 1]
        seen, unseen = standardised(x[fit], x[score])
        scores["linear"][score] = fit_linear(seen, is_fake[fit]).predict_proba(unseen)[:, 1]
    area = require("sklearn.metrics").roc_auc_score
    return {f"auroc_{name}": float(area(is_fake, each)) for name, each in scores.items()}


def correlation_error(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    """Mean absolute difference of the correlations of each pair of dimensions: `{"correlation_error": ...}`.

    A dimension that is constant in one of the two sets has correlation 0 there.

    Args:
      real: `[N, D]`, D at least 2.
      fake: `[M, D]`.

    Raises:
      UserError: fewer than 2 rows of a kind, rows that are not finite, or rows of two widths.
    """
    real, fake = check_rows("real rows", real, 2), check_rows("synthetic rows", fake, 2)
    same_width("rows", real, fake)
    if real.shape[1] < 2:
        raise UserError("Correlations need at least two dimensions of a row, but there is one.")
    pairs = np.triu_indices(real.shape[1], 1)
    return {"correlation_error": float(np.abs(_correlations(real)[pairs] - _correlations(fake)[pairs]).mean())}


def train_on_synthetic(
    fake: tuple[np.ndarray, np.ndarray],
    real: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    seed: int,
) -> dict[str, float]:
    """Score on real test rows of a random forest that is fitted to synthetic rows, beside one fitted to real rows.

    Args:
      fake: `([M, D], [M])`, rows and their target: integers for classes, else floats.
      real: `([N, D], [N])`, the rows that the generator was trained on.
      test: other real rows.
      seed: of the forests.

    Returns:
      `{"synthetic_accuracy": ..., "real_accuracy": ...}`, or for a target of floats `"synthetic_r2"`, `"real_r2"`, the
      coefficients of determination (Esteban et al. 2017, arXiv:1706.02633, section 4.2, "TSTR").

    Raises:
      UserError: rows that are not finite, or rows of two widths.
    """
    is_class = np.asarray(test[1]).dtype.kind in "iub"
    found = {}
    for name, (rows, target) in {"synthetic": fake, "real": real}.items():
        rows = check_rows(f"{name} rows", rows)
        same_width("rows", rows, check_rows("test rows", test[0]))
        target = check_labels(target, len(rows), several=False) if is_class else np.asarray(target, np.float64)
        found[f"{name}_{'accuracy' if is_class else 'r2'}"] = float(
            _forest(seed, is_class).fit(rows, target).score(test[0], test[1])
        )
    return found


def _forest(seed: int, is_class: bool = True):
    ensemble = require("sklearn.ensemble")
    make = ensemble.RandomForestClassifier if is_class else ensemble.RandomForestRegressor
    return make(TREES, min_samples_leaf=LEAF, random_state=seed, n_jobs=1)


def _correlations(rows: np.ndarray) -> np.ndarray:
    centred = rows - rows.mean(axis=0)
    scale = np.sqrt((centred**2).sum(axis=0))
    unit = np.divide(centred, scale, out=np.zeros_like(centred), where=scale > 1e-12 * np.abs(rows).max(axis=0))
    return unit.T @ unit
