"""Scale real values by statistics of the training split: `data.scaling`."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxvae.common.errors import UserError, unknown
from jaxvae.data.checks import named
from jaxvae.data.split import Dataset, Split
from jaxvae.data.stream import Rows

SCALINGS = ("none", "unit", "standardize")
WHITE = 255  # of 8-bit pixels
ROWS = 4096  # at a time, in float64
NO_SCALE = 1e-7  # a spread below this share of the largest absolute value is float32 rounding of a constant


class Scaling(NamedTuple):
    """The map of stored values to the model's, (x - shift) / scale, and its range.

    Attributes:
      shift, scale: an entry for each index of the last axis (features of vectors, channels of images); () for none.
      value_range: least and greatest value in the model's units; () where it follows from the type of the data.
      notes: constant features; pixels that are all dark.
    """

    shift: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    value_range: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()


def fit(dataset: Dataset, settings: Mapping[str, Any]) -> Scaling:
    """Compute the scaling of a data set by `data.scaling`, from observed values of the training split.

    "standardize" maps to mean 0 and standard deviation 1, "unit" maps least and greatest value to `data.pixel_range`,
    for each index of the last axis. A constant feature gets the scale 1. "none" changes nothing; the values keep their
    range, that of all splits, unless they are whole numbers or floats in [0, 1].

    Raises:
      UserError: an unknown scaling, or settings or data that do not fit it.
    """
    mode, pixel_range = settings.get("scaling", "none"), tuple(settings["pixel_range"])
    if mode not in SCALINGS:
        raise unknown("data.scaling", mode, SCALINGS)
    if mode == "none":
        return _unscaled(dataset, pixel_range)
    if dataset.sequence:
        raise UserError(f"data.scaling is '{mode}', but {dataset.sequence} is not scaled: set it to 'none'.")
    if settings["binarization"] != "none":
        raise UserError(
            f"data.scaling is '{mode}' and data.binarization is '{settings['binarization']}': binary values are not "
            "scaled. Set one of the two to 'none'."
        )
    if isinstance(dataset.train.x, Rows):
        raise UserError(
            f"data.scaling is '{mode}', which needs the statistics of all values, but the images are streamed. Set "
            "data.stream to False."
        )
    if mode == "standardize" and pixel_range not in ((), (0.0, 1.0)):
        raise UserError(
            f"data.scaling is 'standardize', to mean 0 and deviation 1, so that data.pixel_range={pixel_range} has no "
            "meaning: leave it at (0.0, 1.0), or set data.scaling to 'unit'."
        )
    least, greatest, mean, deviation = _statistics(dataset.train)
    size = np.maximum(np.abs(least), np.abs(greatest))
    constant = ~(greatest - least > NO_SCALE * size)
    if mode == "unit":
        low, high = pixel_range or (0.0, 1.0)
        scale = np.where(constant, 1.0, (greatest - least) / (high - low))
        shift = least - low * scale
        value_range = (float(low), float(high))
    else:
        shift, scale = mean, np.where(constant, 1.0, deviation)
        value_range = _range([((least - shift) / scale).min(), ((greatest - shift) / scale).max()])
    shift, scale = (np.asarray(each, np.float32).astype(float) for each in (shift, scale))
    return Scaling(tuple(shift.tolist()), tuple(scale.tolist()), value_range, _notes(constant, dataset.columns))


def without_pixels(dataset: Dataset, settings: Mapping[str, Any]) -> Dataset:
    """Convert whole numbers in named columns to floats: ages from 18 to 89 are real values, not 8-bit pixels.

    Counts (`data.pixel_range=()`), columns of 0 and 1, and values that are binarised stay whole numbers.
    """
    is_whole = dataset.columns and dataset.train.x.dtype.kind in "iu" and dataset.max_value > 1
    if not is_whole or not settings["pixel_range"] or settings["binarization"] != "none":
        return dataset
    splits = {name: getattr(dataset, name) for name in ("train", "validation", "test")}
    made = {name: split._replace(x=split.x.astype(np.float32)) for name, split in splits.items()}
    return dataset._replace(**made, max_value=1.0)


def _unscaled(dataset: Dataset, pixel_range: tuple[float, ...]) -> Scaling:
    if dataset.train.x.dtype != np.float32:
        return Scaling(notes=_dark(dataset) if pixel_range else ())
    every = [split for split in (dataset.train, dataset.validation, dataset.test) if len(split.x)]
    seen = [(split.x, True if split.mask is None else split.mask) for split in every]
    least = min(float(x.min(initial=math.inf, where=mask)) for x, mask in seen)
    greatest = max(float(x.max(initial=-math.inf, where=mask)) for x, mask in seen)
    if least >= 0 and greatest <= 1:
        return Scaling()
    if pixel_range not in ((), (0.0, 1.0)):
        raise UserError(
            f"data.pixel_range is {pixel_range}, but the data holds floats from {least:.4g} to {greatest:.4g}, not in "
            "[0, 1]. Set data.scaling to 'unit' to map them to data.pixel_range, or leave data.pixel_range at "
            "(0.0, 1.0) to keep the values as they are."
        )
    return Scaling(value_range=_range([least, greatest]))


def _dark(dataset: Dataset) -> tuple[str, ...]:
    """Return a note where no pixel of 8 bits reaches half of white, as in images whose white is not 255."""
    x, greatest = dataset.train.x, 0
    if isinstance(x, Rows) or dataset.max_value != WHITE:
        return ()
    for start in range(0, len(x), ROWS):  # the search ends at the first light pixel
        greatest = max(greatest, int(x[start : start + ROWS].max()))
        if greatest > WHITE / 2:
            return ()
    return (
        f"x is taken as 8-bit pixels, where {WHITE} is white, but no value is above {greatest}. If that is white, "
        f"give x / {greatest}, floats.",
    )


def _range(ends: Sequence[float]) -> tuple[float, float]:
    low, high = map(float, ends)
    return low, high if high > low else low + 1.0  # constant data has a range too


def _chunks(split: Split) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield values and what is observed of them, `[n, features]`, in float64."""
    features = split.x.shape[-1]
    for start in range(0, len(split.x), ROWS):
        x = np.asarray(split.x[start : start + ROWS], np.float64).reshape(-1, features)
        mask = None if split.mask is None else split.mask[start : start + ROWS].reshape(-1, features)
        yield x, np.ones_like(x, bool) if mask is None else mask


def _statistics(split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return least and greatest value, mean and standard deviation by feature; 0 for one that is never observed."""
    features = split.x.shape[-1]
    least, greatest = np.full(features, math.inf), np.full(features, -math.inf)
    count, total, square = np.zeros(features), np.zeros(features), np.zeros(features)
    for x, seen in _chunks(split):
        count += seen.sum(axis=0)
        total += np.where(seen, x, 0.0).sum(axis=0)
        least = np.minimum(least, np.where(seen, x, math.inf).min(axis=0))
        greatest = np.maximum(greatest, np.where(seen, x, -math.inf).max(axis=0))
    mean = total / np.maximum(count, 1)
    for x, seen in _chunks(split):
        square += np.where(seen, np.square(x - mean), 0.0).sum(axis=0)
    never = count == 0
    deviation = np.sqrt(square / np.maximum(count, 1))
    return np.where(never, 0.0, least), np.where(never, 0.0, greatest), mean, deviation


def _notes(constant: np.ndarray, columns: Sequence[str]) -> tuple[str, ...]:
    if not constant.any():
        return ()
    names = named(constant, columns)
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return (f"constant in the training data, so shifted but not scaled: {', '.join(names[:10])}{more}",)
