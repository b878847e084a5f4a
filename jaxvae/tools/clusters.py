"""Tool that assigns examples to the clusters of a run: the components of its mixture prior."""

from typing import Any

import numpy as np

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.ranges import check, within
from jaxvae.data.split import SPLIT_NAMES, UNLABELLED
from jaxvae.metrics.clusters import agreement, in_use
from jaxvae.models.clusters import needs_clusters
from jaxvae.runs.classes import cluster_probs
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.tools.base import Labels, Outcome


def clusters(run: TrainedRun, split: str = "test", shown: int = 10) -> Outcome:
    """Assign the examples of a split to clusters, with their probabilities q(c|x).

    Arrays and table have the "row" of each example in the source of the data, its "cluster", the "probability" of that
    and of all of them: the array "probabilities" `[N, C]`, the columns p0, p1 ...; the table also the "label". The
    sheet has a row for each cluster, of its examples of highest probability.

    Args:
      run: the run.
      split: "train", "validation" or "test"; with `evaluate.data` the other data is "test".
      shown: examples in a row of the sheet; clusters with fewer have no row.

    Raises:
      UserError: the prior is not a mixture, or an unknown or empty split.
    """
    check("tool", "clusters", shown=(shown, within(1)))
    if split not in SPLIT_NAMES:
        raise unknown("split of the tool 'clusters'", split, SPLIT_NAMES)
    needs_clusters(run.model, "The tool 'clusters'")
    if not len(run.split(split).x):
        raise UserError(f"The tool 'clusters' got split={split}, which has no examples: take another one.")
    probs = cluster_probs(run, split)
    found, best = probs.argmax(axis=1), probs.max(axis=1)
    sizes = np.bincount(found, minlength=probs.shape[1])
    numbers = in_use(probs)
    arrays = {"row": run.dataset.rows_of(split), "cluster": found, "probability": best}
    table: dict[str, Any] = dict(arrays)
    label = run.split(split).label
    if label is not None:
        table["label"] = np.array([run.class_name(each) for each in label.tolist()])
        which = np.flatnonzero(label != UNLABELLED)
        if len(np.unique(label[which])) > 1:
            numbers |= agreement(found[which], label[which])
    table |= {f"p{c}": probs[:, c] for c in range(probs.shape[1])}
    columns = min(shown, int(sizes.max()))
    kept = np.flatnonzero(sizes >= columns)
    order = np.lexsort((-best, found))  # by cluster, the surest first
    first = np.searchsorted(found[order], kept)
    rows = run.examples(run.batch(split, order[first[:, None] + np.arange(columns)].reshape(-1)))
    labels = Labels(tuple(f"{c}: {sizes[c]}" for c in kept))
    title = f"examples by cluster and its size, the most probable ones of {len(probs)}"
    sheet = rows.reshape(len(kept), columns, *rows.shape[1:])
    return Outcome(arrays | {"probabilities": probs}, sheet, title, numbers, labels, table)
