"""Missing values: NaN in floats, entries hidden for study (`data.missing`), and columns without a value."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.data.checks import named
from jaxvae.data.quadrants import modelled
from jaxvae.data.split import SPLIT_NAMES, Dataset, Split
from jaxvae.data.stream import Rows

CHUNK = 4096  # rows


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


def hide(dataset: Dataset, fraction: float, seed: int = 0, given: Sequence[str] = ()) -> Dataset:
    """Hide each entry of x with the probability `fraction`, independently of all values: missing completely at random.

    An example's mask depends on `seed` and its row in the source alone. Of the quadrants among the names `given`, those
    of a context, nothing is hidden. `complete` keeps the splits as they were. Data whose entries are hidden already is
    unchanged.

    Raises:
      UserError: sequences, streamed images, or a column without a value left.
    """
    if not fraction or dataset.complete:
        return dataset
    if dataset.sequence or isinstance(dataset.train.x, Rows):
        kind = dataset.sequence or "streamed images: set data.stream to False"
        raise UserError(f"data.missing is {fraction}, but entries cannot be hidden in {kind}.")
    complete = {name: getattr(dataset, name) for name in SPLIT_NAMES}
    hidden = {name: _hidden(dataset, name, split, fraction, seed, given) for name, split in complete.items()}
    check_columns(hidden["train"], dataset.columns)
    seen, left = (sum(_observed(split) for split in splits.values()) for splits in (complete, hidden))
    note = f"data.missing={fraction}: {seen - left:,} of {seen:,} observed values are hidden, at random"
    return dataset._replace(**hidden, complete=complete, notes=(*dataset.notes, note))


def _hidden(dataset: Dataset, name: str, split: Split, fraction: float, seed: int, given: Sequence[str]) -> Split:
    if not len(split.x):
        return split
    source, rows = dataset.rows[name][0] if name in dataset.rows else name, dataset.rows_of(name)
    rng = np.random.Generator(np.random.PCG64([seed, zlib.crc32(source.encode())]))
    mask = np.empty(split.x.shape, bool)
    for start in range(0, int(rows.max()) + 1, CHUNK):  # rows in the order of the source
        kept = rng.random((CHUNK, *split.x.shape[1:]), np.float32) >= fraction
        here = (rows >= start) & (rows < start + CHUNK)
        mask[here] = kept[rows[here] - start]
    hides = modelled(given, split.x.shape[1:])
    mask = mask if hides is None else mask | ~hides
    mask = mask if split.mask is None else mask & split.mask
    return split._replace(x=np.where(mask, split.x, split.x.dtype.type(0)), mask=mask)


def _observed(split: Split) -> int:
    return split.x.size if split.mask is None else int(split.mask.sum())
