"""How well a score tells data of one kind from data of another."""

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.optional import require


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
    return {"auroc": float(require("sklearn.metrics").roc_auc_score(is_out, np.concatenate(given)))}
