"""Encode labels as integers, and keep the names of the classes."""

from typing import Any

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.data.split import UNLABELLED, Split


def are_classes(values: Any) -> bool:
    """Return whether values can be labels: whole numbers, text or dates, but no other numbers; NaN does not count."""
    values = np.asarray(values)
    if values.dtype.kind != "f":
        return True
    seen = values[np.isfinite(values)]
    return bool((seen == np.rint(seen)).all())


def require_classes(values: Any, label: str, source: str) -> None:
    """Raise UserError where `data.label` is real values."""
    if not are_classes(values):
        raise UserError(
            f"data.label is '{label}', which holds real values in '{source}', but a label is a class: whole numbers or "
            "text. Leave data.label empty, or give another one."
        )


def encode_labels(splits: dict[str, Split], source: str) -> tuple[dict[str, Split], tuple[str, ...]]:
    """Encode labels that are strings as integers, in sorted order over all splits; "" and NaN are unknown, -1.

    Two classes -1 and another get names too, since -1 is an unknown class where there are more. Whole numbers stored as
    floats, and columns `[N, 1]` or rows `[1, N]`, become integers `[N]`; later checks refuse
    other types.

    Returns:
      `(splits, class names)`, without names where the labels are numbers themselves.

    Raises:
      UserError: only some splits have strings.
    """
    labels = {key: _plain(split.label, len(split.x)) for key, split in splits.items() if split.label is not None}
    if labels and all(label.dtype.kind == "i" and label.ndim == 1 for label in labels.values()):
        unknown = {key: _unknown(splits[key].label, len(label)) for key, label in labels.items()}
        every = np.unique(np.concatenate([label[~unknown[key]] for key, label in labels.items()]))
        if len(every) == 2 and every[0] == UNLABELLED:  # two classes, of which one is called -1
            labels = {key: np.where(unknown[key], "", label.astype(str)) for key, label in labels.items()}
    strings = [key for key, label in labels.items() if label.dtype.kind == "U"]
    names: tuple[str, ...] = ()
    if strings:
        if len(strings) < len(labels):
            raise UserError(
                f"The labels of '{source}' are strings in {', '.join(strings)} and numbers in "
                f"{', '.join(labels.keys() - set(strings))}: give one kind in all splits."
            )
        every = np.concatenate(list(labels.values()))
        classes = np.unique(every[every != ""])
        names = tuple(map(str, classes))
        index = np.where(every == "", UNLABELLED, np.searchsorted(classes, every))
        ends = np.cumsum([len(label) for label in labels.values()])[:-1]
        labels = dict(zip(labels, np.split(index.astype(np.int32), ends), strict=True))
    return {key: split._replace(label=labels.get(key)) for key, split in splits.items()}, names


def _plain(label: Any, num: int) -> np.ndarray:
    label = np.asarray(label)
    if label.ndim == 2 and label.size == num and 1 in label.shape:  # as MATLAB stores them
        label = label.ravel()
    if label.dtype.kind == "S":
        return np.char.decode(label, errors="replace")
    if label.dtype.kind == "O" and all(isinstance(one, str) for one in label.flat):
        return label.astype(str)
    if label.dtype.kind == "f" and not np.isnan(label).all():
        whole = np.where(np.isnan(label), UNLABELLED, label)
        return whole.astype(np.int32) if np.isfinite(whole).all() and (whole == whole.round()).all() else label
    return label.astype(np.int32) if label.dtype == np.bool_ else label


def _unknown(label: Any, num: int) -> np.ndarray:
    """Return which labels are NaN, `[N]`."""
    label = np.asarray(label)
    return np.isnan(label.reshape(num, -1)[:, 0]) if label.dtype.kind == "f" and num else np.zeros(num, bool)
