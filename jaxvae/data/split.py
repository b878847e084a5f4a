"""Splits of plain arrays, the contract of every data source, and their checks."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxvae.common.errors import UserError

SPLIT_SEED = 0  # splits are part of the data: the same in every run
IMAGE_CHANNELS = (1, 3)
TEST_FRACTION = 0.2  # where the data has no test set of its own


class Split(NamedTuple):
    """Examples with their labels, factors, context and mask.

    Attributes:
      x: `[N, *shape]`, uint8, float32 or int32 as stored.
      label: `[N]` integers, or None.
      factors: `[N, F]` int32, the known generative factors of each example, or None. For evaluation alone, not for
        training.
      context: `[N, C]` float32, the context of each example for a conditional model, or None.
      mask: bool of the shape of x, True where a value is observed, or None where all are.
    """

    x: np.ndarray
    label: np.ndarray | None = None
    factors: np.ndarray | None = None
    context: np.ndarray | None = None
    mask: np.ndarray | None = None

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays of batches: "x", and "label", "context" and "mask" where not None."""
        found = {"x": self.x, "label": self.label, "context": self.context, "mask": self.mask}
        return {name: array for name, array in found.items() if array is not None}


class Dataset(NamedTuple):
    """Three splits with stored values in [0, max_value]; `factor_names` name the columns of `factors`.

    `sequence` is "text" or "music" where examples are sequences, padded with -1; `vocabulary` holds the words of the
    tokens; `notes` summarise how the data was read.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    max_value: float
    factor_names: tuple[str, ...] = ()
    sequence: str = ""
    vocabulary: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def levels(self) -> int:
        """Number of possible values of an entry; floats in [0, 1] count as 8-bit pixels."""
        return 256 if self.train.x.dtype == np.float32 else round(self.max_value) + 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self.train.x.shape[1:]

    @property
    def context_dim(self) -> int:
        """Length of the context of each example; 0 without context."""
        return 0 if self.train.context is None else self.train.context.shape[1]


def cut_rows(num: int, fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Split `num` rows by a fixed permutation: the rows kept, and a `fraction` of them cut off."""
    order = np.random.Generator(np.random.PCG64(SPLIT_SEED)).permutation(num)
    size = round(num * fraction)
    return np.sort(order[size:]), np.sort(order[:size])


def rows_of_splits(sizes: Mapping[str, int], validation_fraction: float) -> dict[str, tuple[str, np.ndarray]]:
    """Assign rows to splits: `{split: (given split, rows of it)}`; missing splits are taken out of "train"."""
    rows = {key: (key, np.arange(size)) for key, size in sizes.items()}
    for key, fraction in (("test", TEST_FRACTION), ("validation", validation_fraction)):
        if key not in rows:
            train = rows["train"][1]
            rest, cut = cut_rows(len(train), fraction)
            rows |= {"train": ("train", train[rest]), key: ("train", train[cut])}
    return rows


def with_missing(found: Mapping[str, Sequence[Any]], validation_fraction: float) -> dict[str, list[Any]]:
    """Split lists of examples by `rows_of_splits`, without empty splits."""
    rows = rows_of_splits({key: len(items) for key, items in found.items()}, validation_fraction)
    return {key: [found[source][i] for i in of] for key, (source, of) in rows.items() if len(of)}


def check(key: str, split: Split, train: np.ndarray, least: int = 0) -> None:
    """Check the arrays of a split.

    Args:
      key: the name of the split.
      split: its arrays.
      train: the training examples, whose shape and type the split must have.
      least: least allowed whole number: -1, the padding, in sequences.

    Raises:
      UserError: the arrays are not usable data.
    """
    x, label = split.x, split.label
    if not 2 <= x.ndim <= 4 or 0 in x.shape[1:]:
        raise UserError(
            f"The {key} data has shape {x.shape}; expected [N, features], [N, height, width] or "
            "[N, height, width, channels]."
        )
    if x.ndim == 4 and x.shape[1] in IMAGE_CHANNELS and x.shape[3] not in IMAGE_CHANNELS and x.shape[2] > 3:
        raise UserError(
            f"The {key} data has shape {x.shape}, which looks like images with channels first; channels go last, "
            "[N, height, width, channels]. Transpose the array with x.transpose(0, 2, 3, 1)."
        )
    if x.shape[1:] != train.shape[1:]:
        raise UserError(f"The {key} examples have shape {x.shape[1:]}, but the train examples have {train.shape[1:]}.")
    if x.dtype != train.dtype:
        raise UserError(f"The {key} examples are {x.dtype}, but the train examples are {train.dtype}.")
    if label is not None and (label.ndim != 1 or label.dtype.kind not in "iu"):
        raise UserError(f"The {key} label array is {label.dtype} {label.shape}; it must hold one integer per example.")
    if label is not None and len(label) != len(x):
        raise UserError(f"The {key} data has {len(x)} examples but {len(label)} labels.")
    if split.factors is not None:
        _check_factors(key, split.factors, len(x))
    _check_beside(key, split)
    _check_values(key, x if split.mask is None else np.where(split.mask, x, x.dtype.type(0)), least)


def _check_beside(key: str, split: Split) -> None:
    context, mask, num = split.context, split.mask, len(split.x)
    if context is not None and (context.ndim != 2 or len(context) != num or context.dtype != np.float32):
        raise UserError(
            f"The {key} context is {context.dtype} {context.shape}; it must be float32 of shape [{num}, C], one row "
            "per example."
        )
    if context is not None and not np.isfinite(context).all():
        raise UserError(f"The {key} context holds values that are NaN or infinite. Clean the data first.")
    if mask is not None and (mask.shape != split.x.shape or mask.dtype != bool):
        raise UserError(
            f"The {key} mask is {mask.dtype} {mask.shape}; it must be bool and have the shape of x, "
            f"{split.x.shape}, True where a value is observed."
        )


def _check_factors(key: str, factors: np.ndarray, num: int) -> None:
    if factors.ndim != 2 or not factors.shape[1] or factors.dtype.kind not in "iu":
        raise UserError(
            f"The {key} factors are {factors.dtype} {factors.shape}; they must be whole numbers [N, factors], one row "
            "per example."
        )
    if len(factors) != num:
        raise UserError(f"The {key} data has {num} examples but {len(factors)} rows of factors.")
    if factors.size and not -(2**31) <= factors.min() <= factors.max() < 2**31:
        raise UserError(f"The {key} factors reach from {factors.min()} to {factors.max()}; they must fit into 32 bits.")


def check_names(splits: Mapping[str, Split], names: Sequence[str]) -> tuple[str, ...]:
    """Check the names of the factors; the default is "factor_0", "factor_1" ...

    Raises:
      UserError: not one name per column of every split, or a name twice.
    """
    widths = sorted({split.factors.shape[1] for split in splits.values() if split.factors is not None})
    if not widths and not names:
        return ()
    names = tuple(names) or tuple(f"factor_{i}" for i in range(widths[0]))
    if widths != [len(names)] or len(set(names)) < len(names):
        raise UserError(
            f"The factors of the splits have {' and '.join(map(str, widths)) or 'no'} columns, but the names are "
            f"{', '.join(names)}; there must be one column per name in every split, and no name twice."
        )
    return names


def _check_values(key: str, x: np.ndarray, least: int) -> None:
    if x.dtype == np.uint8:
        return
    if x.dtype == np.int32:
        if x.size and x.min() < least:
            raise UserError(f"The {key} data holds whole numbers from {x.min()} to {x.max()}; counts are 0 or more.")
        return
    if x.dtype != np.float32:
        raise UserError(
            f"The {key} data has type {x.dtype}; store pixels as uint8 (0 to 255) or as floats in [0, 1], and counts "
            "as whole numbers below 2^24."
        )
    if bad := int(x.size - np.isfinite(x).sum()):
        raise UserError(f"The {key} data holds {bad} values that are NaN or infinite. Clean the data first.")
    if x.size and (x.min() < 0 or x.max() > 1):
        raise UserError(
            f"The {key} data holds floats from {x.min():.4g} to {x.max():.4g}; floats must lie in [0, 1] "
            "(8-bit pixels can be stored as uint8 instead). Rescale the data first."
        )
