"""Missing values: NaN in floats, and whole columns without a value."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.data.checks import named
from jaxvae.data.split import Split


def without_nan(split: Split) -> Split:
    """Mark NaN as missing: False in the mask, and 0 in x. A mask of ones is left out: it is data without a mask."""
    mask = split.mask
    if mask is not None and (mask.dtype != bool or mask.shape != split.x.shape):
        return split  # refused by the checks
    missing: Any = np.isnan(split.x) if split.x.dtype == np.float32 and isinstance(split.x, np.ndarray) else None
    if missing is not None and missing.any():
        mask = ~missing if mask is None else mask & ~missing
        split = split._replace(x=np.where(missing, np.float32(0.0), split.x))
    return split._replace(mask=None if mask is None or mask.all() else mask)


def has_missing(split: Split) -> bool:
    """Return whether an entry of x is missing."""
    return split.mask is not None and not bool(split.mask.all())


def check_columns(train: Split, columns: Sequence[str]) -> None:
    """Raise UserError where the training data `[N, F]` has no value in a column."""
    if train.mask is None or train.mask.ndim != 2 or not len(train.mask):
        return
    if empty := named(np.asarray(~train.mask.any(axis=0)), columns):
        more = f" and {len(empty) - 10} more" if len(empty) > 10 else ""
        one = len(empty) == 1
        raise UserError(
            f"All training values are missing in the column{'' if one else 's'} {', '.join(empty[:10])}{more}: a model "
            f"cannot learn {'it' if one else 'them'}. Leave {'it' if one else 'them'} out of the data."
        )


def notes(splits: Mapping[str, Split]) -> tuple[str, ...]:
    """Say how many values are missing, in one sentence; () where none is."""
    masks = [split.mask for split in splits.values() if split.mask is not None]
    missing = sum(mask.size - int(mask.sum()) for mask in masks)
    total = sum(split.x.size for split in splits.values() if split.mask is not None)
    if not missing:
        return ()
    rows = sum(int((~mask.reshape(len(mask), -1)).any(axis=1).sum()) for mask in masks)
    return (f"{missing:,} of {total:,} values are missing ({missing / total:.1%}), in {rows:,} rows",)
