"""Check the arrays that metrics take: rows `[N, D]` and their labels `[N]`."""

import numpy as np

from jaxvae.common.errors import UserError


def check_rows(name: str, rows: np.ndarray, least: int = 1) -> np.ndarray:
    """Return `rows` as float64 `[N, D]`; UserError unless finite, with N of at least `least`. `name` is plural."""
    rows = np.asarray(rows, np.float64)
    if rows.ndim != 2 or len(rows) < least or not rows.shape[1]:
        raise UserError(
            f"The {name} have the shape {list(rows.shape)}; it must be [N, D] with N at least {least}. Flatten each "
            "example to one row, or give more rows."
        )
    if broken := int(np.sum(~np.isfinite(rows).all(axis=1))):
        raise UserError(
            f"The {name} are NaN or infinite in {broken} of {len(rows)} rows, but must be finite. Check whether "
            "training diverged."
        )
    return rows


def same_width(name: str, one: np.ndarray, other: np.ndarray) -> None:
    """Raise UserError where `[N, D]` and `[M, D']` differ in width. `name` is plural."""
    if one.shape[1] != other.shape[1]:
        raise UserError(
            f"The {name} have {one.shape[1]} dimensions in one set and {other.shape[1]} in the other, but must have "
            "the same. Compute both by the same map."
        )


def check_labels(labels: np.ndarray, num: int, several: bool = True) -> np.ndarray:
    """Return `labels` as integers `[num]`; UserError unless they are, or for one class where `several` are needed."""
    labels = np.asarray(labels)
    if labels.shape != (num,) or labels.dtype.kind not in "iub":
        raise UserError(
            f"The labels are {labels.dtype} of the shape {list(labels.shape)} for {num} rows of codes; there must be "
            "one integer per row. Take codes and labels from the same split."
        )
    if several and len(np.unique(labels)) < 2:
        raise UserError(
            f"All {num} labels are of one class, but at least two classes are needed. Give rows of several classes."
        )
    return labels


def spread_rows(num: int, most: int) -> np.ndarray:
    """Return at most `most` row indices of `num`, in rising order and evenly spaced."""
    return np.unique(np.linspace(0, num - 1, min(most, num)).round().astype(int))
