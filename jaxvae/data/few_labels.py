"""Keep a few labels of the training data, for semi-supervised learning (`data.labels`)."""

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.data.split import UNLABELLED, Dataset


def keep_labels(dataset: Dataset, num: int, seed: int = 0) -> Dataset:
    """Keep `num` labels of the training data, as equally many of each class as there are; the others are UNLABELLED.

    The labels that are kept depend on the data and `seed` alone; with a larger `num` they are kept too. Validation and
    test data keep theirs. `num` of 0 keeps all.

    Raises:
      UserError: no labels, fewer than two classes, more labels asked for than there are, or fewer than one of each
        class.
    """
    if not num:
        return dataset
    label = dataset.train.label
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
    return dataset._replace(train=dataset.train._replace(label=hidden), notes=(*dataset.notes, note))


def _balanced(of_class: np.ndarray, num: int, rng: np.random.Generator) -> np.ndarray:
    """Choose `num` rows in rounds, one row of each class that has any left: `[num]` indices."""
    order = rng.permutation(len(of_class))
    turn = rng.permutation(int(of_class.max()) + 1)  # of the classes within a round
    rank = np.empty(len(order), np.int64)
    for one in np.unique(of_class):
        mine = order[of_class[order] == one]
        rank[mine] = np.arange(len(mine))
    return np.lexsort((turn[of_class], rank))[:num]
