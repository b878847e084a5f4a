"""Area under the ROC curve (AUROC) of outlier scores."""

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.optional import require


def outlier_auroc(scores_in: np.ndarray, scores_out: np.ndarray) -> dict[str, float]:
    """AUROC, the probability that an outlier scores higher than an inlier (ties count half): `{"auroc": ...}`.

    Args:
      scores_in: `[N]` scores of data like the training set; higher is more unusual (-log p(x) in nats, say).
      scores_out: `[M]` scores of other data.

    Raises:
      UserError: empty or non-finite scores.
    """
    given = [np.asarray(scores, np.float64) for scores in (scores_in, scores_out)]
    for scores in given:
        if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
            raise UserError(
                f"Scores of the shape {list(scores.shape)} were given, {int(np.sum(~np.isfinite(scores)))} of them NaN "
                "or infinite; the AUROC needs finite scores [N] and [M], with N and M at least 1."
            )
    is_out = np.repeat([0, 1], [len(scores) for scores in given])
    return {"auroc": float(require("sklearn.metrics").roc_auc_score(is_out, np.concatenate(given)))}
