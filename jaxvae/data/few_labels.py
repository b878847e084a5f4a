"""Keep a few labels of the training data, for semi-supervised learning (`data.labels`)."""

from typing import Any

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.data.load import select
from jaxvae.data.split import UNLABELLED, Dataset, Split


def keep_labels(dataset: Dataset, num: int, seed: int = 0) -> Dataset:
    """Keep `num` labels of the training data, as equally many of each class as there are; the others are UNLABELLED.

    The labels that are kept depend on the data and `seed` alone; with a larger `num` they are kept too. Validation and
    test data keep theirs, without examples that have none; a set without any label stays. `num` of 0 keeps all.

    Raises:
      UserError: no labels, fewer than two classes, more labels asked for than there are, or fewer than one of each
        class.
    """
    label = dataset.train.label
    if not num:
        return _judged_by_labels(dataset)
    if label is None:
        raise UserError(f"data.labels is {num}, but the data '{dataset.name}' has no labels.")
    known = np.flatnonzero(label != UNLABELLED)
    classes, of_class = np.unique(label[known], return_inverse=True)
    if len(classes) < 2:
        raise UserError(
            f"data.labels is {num}, but all labels of '{dataset.name}' are of one class, {classes.tolist()[0]}: there "
            "is nothing to tell apart. Give data of two classes or more."
            if len(classes)
            else f"data.labels is {num}, but no training example of '{dataset.name}' has a label."
        )
    if num > len(known):
        raise UserError(
            f"data.labels is {num}, but only {len(known)} training examples of '{dataset.name}' have a label: take at "
            "most so many, or 0 for all."
        )
    if num < len(classes):
        raise UserError(
            f"data.labels is {num}, fewer than one for each of the {len(classes)} classes of '{dataset.name}': take "
            f"{len(classes)} or more."
        )
    kept = known[_balanced(of_class, num, np.random.Generator(np.random.PCG64(seed)))]
    hidden = np.full_like(label, UNLABELLED)
    hidden[kept] = label[kept]
    note = f"data.labels={num}: {num:,} of {len(label):,} training examples keep their label, of {len(classes)} classes"
    dataset = dataset._replace(train=dataset.train._replace(label=hidden), notes=(*dataset.notes, note))
    return _judged_by_labels(dataset)


def facts_of_labels(dataset: Dataset) -> dict[str, Any]:
    """Return the classes "labels" of the training data, and the share "labelled" of it; {} without labels."""
    label = dataset.train.label
    if label is None or not len(label):
        return {}
    known = label[label != UNLABELLED]
    return {"labels": tuple(np.unique(known).tolist()), "labelled": len(known) / len(label)}


def _judged_by_labels(dataset: Dataset) -> Dataset:
    """Leave examples without a label out of the validation and the test set: they cannot judge a classifier."""
    changed: dict[str, Any] = {}
    rows, notes = dict(dataset.rows), []
    for name in ("validation", "test"):
        split: Split = getattr(dataset, name)
        label = split.label
        if label is None:
            continue
        known = np.flatnonzero(label != UNLABELLED)
        if 0 < len(known) < len(label):
            changed[name] = select(split, known)
            rows[name] = (dataset.rows[name][0] if name in dataset.rows else name, dataset.rows_of(name)[known])
            notes.append(f"{len(label) - len(known):,} examples without a label are left out of the {name} set")
    return dataset._replace(**changed, rows=rows, notes=(*dataset.notes, *notes)) if changed else dataset


def _balanced(of_class: np.ndarray, num: int, rng: np.random.Generator) -> np.ndarray:
    """Choose `num` rows in rounds, one row of each class that has any left: `[num]` indices."""
    order = rng.permutation(len(of_class))
    turn = rng.permutation(int(of_class.max()) + 1)  # of the classes within a round
    rank = np.empty(len(order), np.int64)
    for one in np.unique(of_class):
        mine = order[of_class[order] == one]
        rank[mine] = np.arange(len(mine))
    return np.lexsort((turn[of_class], rank))[:num]
