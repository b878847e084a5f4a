"""Check the arrays of splits: shapes, types and values."""

from collections.abc import Mapping, Sequence

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.data.split import Split

IMAGE_CHANNELS = (1, 3)


def check(key: str, split: Split, train: np.ndarray, least: int = 0, columns: Sequence[str] = ()) -> None:
    """Check the arrays of a split.

    Args:
      key: the name of the split.
      split: its arrays.
      train: the training examples, whose shape and type the split must have.
      least: least allowed whole number: -1, the padding, in sequences.
      columns: names of the features, for messages.

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
    _check_values(key, x if split.mask is None else np.where(split.mask, x, x.dtype.type(0)), least, columns)


def check_binarization(key: str, split: Split, binarization: str) -> None:
    """Raise UserError for floats outside [0, 1], which cannot be binarised."""
    if binarization == "none" or split.x.dtype != np.float32 or not split.x.size:
        return
    seen = True if split.mask is None else split.mask
    least, greatest = split.x.min(initial=0.0, where=seen), split.x.max(initial=1.0, where=seen)
    if least < 0 or greatest > 1:
        raise UserError(
            f"data.binarization is '{binarization}', but the {key} data holds floats from {least:.4g} to "
            f"{greatest:.4g}; it needs whole numbers or floats in [0, 1]. Set data.binarization to 'none'."
        )


def _check_beside(key: str, split: Split) -> None:
    context, mask, num = split.context, split.mask, len(split.x)
    if context is not None and (context.ndim != 2 or len(context) != num or context.dtype != np.float32):
        raise UserError(
            f"The {key} context is {context.dtype} {context.shape}; it must be float32 of shape [{num}, C], one row "
            "per example."
        )
    if context is not None and not np.isfinite(context).all():
        raise UserError(f"The {key} context holds values that are NaN or infinite. Clean the data first.")
    if split.beside is not None and len(split.beside) != num:
        raise UserError(f"The {key} data has {num} examples, but the context {len(split.beside)} rows.")
    names = split.names
    if names is not None and (names.shape != (num,) or names.dtype.kind not in "iuU"):
        raise UserError(
            f"The {key} row_names are {names.dtype} {names.shape}; they must be {num} strings or whole numbers, one "
            "for each example."
        )
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


def _check_values(key: str, x: np.ndarray, least: int, columns: Sequence[str]) -> None:
    if x.dtype == np.uint8:
        return
    if x.dtype == np.int32:
        if x.size and x.min() < least:
            raise UserError(
                f"The {key} data holds whole numbers from {x.min()} to {x.max()}; counts are 0 or more. Store the data "
                "as floats, for a likelihood of real values."
            )
        return
    if x.dtype != np.float32:
        raise UserError(
            f"The {key} data has type {x.dtype}; store pixels as uint8 (0 to 255), counts as whole numbers below 2^24, "
            "and real values as floats."
        )
    if bad := int(x.size - np.isfinite(x).sum()):
        raise UserError(
            f"The {key} data holds {bad} infinite values, {where_not_finite(x, columns)}. Clean the data first, or "
            "store NaN there, for a missing value."
        )


def where_not_finite(x: np.ndarray, columns: Sequence[str] = ()) -> str:
    """Name the row (from 0) and the column of the first value of x `[N, ...]` that is NaN or infinite."""
    bad = ~np.isfinite(x)
    row, *place = map(int, np.unravel_index(bad.argmax(), x.shape))
    if len(place) > 1:
        return f"the first in row {row} at {tuple(place)}"
    names = named(np.asarray(bad.any(axis=0)), columns)
    others = f"; in {len(names)} columns: {', '.join(names[:10])}" if len(names) > 1 else ""
    here = np.arange(x.shape[1]) == place[0]
    return f"the first in row {row}, column {named(here, columns)[0]}{others}"


def named(which: np.ndarray, columns: Sequence[str] = ()) -> list[str]:
    """List the columns where `which` `[F]` is True, by name or else by index."""
    return [f"'{columns[i]}'" if columns else str(i) for i in np.flatnonzero(which).tolist()]
