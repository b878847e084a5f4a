"""Scale the columns of a table by statistics of the training split."""

import numpy as np

from jaxvae.common.columns import Column
from jaxvae.data.scaling import NO_SCALE, Scaling
from jaxvae.data.split import Dataset


def fit_columns(dataset: Dataset) -> tuple[Scaling, tuple[Column, ...]]:
    """Compute the scaling of a table from observed values of the training split, and the statistics of its columns.

    Real columns are mapped to mean 0 and standard deviation 1, positive ones divided by their geometric mean; counts
    and codes of categories stay as they are. Shares of categories are smoothed: each gets one more row than it has.
    """
    x, mask = np.asarray(dataset.train.x, np.float64), dataset.train.mask
    mask = np.ones(x.shape, bool) if mask is None else mask
    fitted, shifts, scales, ends = [], [], [], [0.0, 1.0]
    for column, values, seen in zip(dataset.table, x.T, mask.T, strict=True):
        values = values[seen]
        shift, scale = _scale(column, values)
        values = (values - shift) / scale
        ends = [min(ends[0], values.min(initial=0.0)), max(ends[1], values.max(initial=0.0))]
        fitted.append(_described(column, values))
        shifts.append(float(np.float32(shift)))
        scales.append(float(np.float32(scale)))
    return Scaling(tuple(shifts), tuple(scales), (float(ends[0]), float(ends[1]))), tuple(fitted)


def _scale(column: Column, values: np.ndarray) -> tuple[float, float]:
    if not len(values) or column.kind not in ("real", "positive"):
        return 0.0, 1.0
    if column.kind == "positive":
        return 0.0, float(np.exp(np.log(values).mean()))
    return float(values.mean()), _above(values.std(), np.abs(values).max())


def _described(column: Column, values: np.ndarray) -> Column:
    """Fill in the range, mean and deviation of the logarithm, or of the codes, and the shares of the categories."""
    if len(values):
        column = column._replace(low=float(values.min()), high=float(values.max()))
    linear = {"positive": np.log, "count": np.log1p}.get(column.kind, np.asarray)(values)
    if len(linear) and column.kind not in ("real", "categorical"):
        column = column._replace(centre=float(linear.mean()), spread=_above(linear.std(), np.abs(linear).max()))
    if not column.has_categories:
        return column
    counts = np.bincount(values.astype(int), minlength=len(column.categories)) + 1
    return column._replace(frequencies=tuple((counts / counts.sum()).tolist()))


def _above(spread: float, size: float) -> float:
    """Return a spread, or 1 for that of a constant."""
    return float(spread) if spread > NO_SCALE * size else 1.0
