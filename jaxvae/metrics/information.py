"""Disentanglement from statistics of codes `[N, D]` and true factors `[N, F]`, without a fitted predictor."""

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.optional import require

ROWS_PER_VALUE = 10


def check(
    codes: np.ndarray, factors: np.ndarray, min_codes: int = 1, min_factors: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """What every metric of codes and factors starts with.

    Args:
      codes: `[N, D]`, finite.
      factors: `[N, F]` integers; what they stand for and their order are not used.
      min_codes: the least D that the metric is defined for.
      min_factors: the least number of factors that vary which it is defined for.

    Returns:
      The codes as float64, and the factors that vary, each numbered 0, 1, ... without gaps. A factor varies where at
      least two of its values have at least two rows each; the others are left out.

    Raises:
      UserError: shapes that do not agree, codes that are not finite, factors that are no integers, too few codes,
        factors that vary or rows.
    """
    codes, factors = np.asarray(codes, np.float64), np.asarray(factors)
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors):
        raise UserError(
            f"Codes have the shape {list(codes.shape)} and factors {list(factors.shape)}; a metric needs codes [N, D] "
            "and factors [N, F] with a row for each example. Flatten the codes, and take both from the same split."
        )
    if factors.dtype.kind not in "iub":
        raise UserError(f"Factors are {factors.dtype}, but must be integers: give the index of each factor's value.")
    broken = int(np.sum(~np.isfinite(codes).all(axis=1)))
    if broken:
        raise UserError(
            f"Codes are NaN or infinite in {broken} of {len(codes)} rows; a metric needs finite ones. "
            "Look whether training diverged."
        )
    if codes.shape[1] < min_codes:
        raise UserError(f"There are {codes.shape[1]} codes, but the metric compares at least {min_codes}.")
    numbered = [np.unique(factor, return_inverse=True)[1] for factor in factors.T]
    varying = [factor for factor in numbered if np.sum(np.bincount(factor) >= 2) >= 2]
    if len(varying) < min_factors:
        raise UserError(
            f"{len(varying)} of {factors.shape[1]} factors vary in these rows, but the metric needs at least "
            f"{min_factors}. Give rows in which more of them vary."
        )
    values = max(factor.max() for factor in varying) + 1
    if len(codes) < ROWS_PER_VALUE * values:
        raise UserError(
            f"There are {len(codes)} rows, but a factor has {values} values; the metric needs at least "
            f"{ROWS_PER_VALUE} rows per value, {ROWS_PER_VALUE * values} in all. Give more rows."
        )
    return codes, np.stack(varying, axis=1)


def mutual_information(codes: np.ndarray, factors: np.ndarray, bins: int = 20) -> np.ndarray:
    """I(code; factor) `[D, F]` in nats, of the empirical distribution; a code is cut into `bins` equal-width bins.

    It is biased upwards: for independent ones by about (bins - 1)(values - 1) / 2N.
    """
    information = require("sklearn.metrics").mutual_info_score
    low, span = codes.min(axis=0), np.ptp(codes, axis=0)
    unit = (codes - low) / np.where(span > 0, span, 1.0)
    binned = np.minimum((unit * bins).astype(int), bins - 1)
    return np.array([[information(code, factor) for factor in factors.T] for code in binned.T])


def mig(codes: np.ndarray, factors: np.ndarray, bins: int = 20) -> dict[str, float]:
    """The mutual information gap (arXiv:1802.04942, equation 6): `{"mig": ...}`.

    For each factor, how much more the code that tells most of it tells than the second one, as a share of the
    factor's entropy; the mean over the factors that vary (`check`). 1: one code determines each factor, and the others
    tell nothing of it. 0: two codes tell as much, so that a copy of a code takes all its credit.

    Args:
      codes: `[N, D]`, D at least 2.
      factors: `[N, F]` integers.
      bins: equal-width bins of each code.

    Raises:
      UserError: see `check`.
    """
    codes, factors = check(codes, factors, min_codes=2)
    information = np.sort(mutual_information(codes, factors, bins), axis=0)
    entropies = np.array([require("sklearn.metrics").mutual_info_score(factor, factor) for factor in factors.T])
    return {"mig": float(np.mean((information[-1] - information[-2]) / entropies))}


def modularity(codes: np.ndarray, factors: np.ndarray, bins: int = 20) -> dict[str, float]:
    """Modularity (arXiv:1802.05312, section 3): whether each code tells of one factor only. `{"modularity": ...}`.

    Args:
      codes: `[N, D]`.
      factors: `[N, F]` integers, at least two of which vary (`check`).
      bins: equal-width bins of each code.

    Raises:
      UserError: see `check`.
    """
    codes, factors = check(codes, factors, min_factors=2)
    return {"modularity": modularity_score(mutual_information(codes, factors, bins))}


def modularity_score(information: np.ndarray) -> float:
    """Modularity from the mutual information `[D, F]` of codes and factors, F at least 2.

    A code's score is 1 - (sum of the squares of all but its largest entry) / ((F - 1) largest²): 1 where it tells of
    one factor, 0 where of all alike. The mean over the codes that tell of some factor; 0 where there are none. An
    estimate from data is never quite 0, so that codes of noise take part, and only constant ones do not.
    """
    squares = np.square(information[information.max(axis=1) > 0])
    if not len(squares):
        return 0.0
    largest = squares.max(axis=1)
    return float(np.mean(1 - (squares.sum(axis=1) - largest) / (largest * (squares.shape[1] - 1))))


def irs(codes: np.ndarray, factors: np.ndarray, quantile: float = 0.99) -> dict[str, float]:
    """The interventional robustness score (arXiv:1811.00007), from grouped rows: `{"irs": ...}`.

    For a code and a factor: rows are grouped by the factor's value, and each group's largest distance from its mean,
    averaged over rows, is divided by that of all rows together. One minus this is 1 where nothing but the factor moves
    the code, and near 0, or a little below, where the factor does not. A code counts with the factor that suits it
    best; the mean over codes is weighted by their largest distances, so that codes that hardly move hardly count.
    Constant codes do not; 0 where all are constant. It does not ask that a factor be in one code only.

    Args:
      codes: `[N, D]`.
      factors: `[N, F]` integers, of which those that vary are used (`check`); taken to be independent of each other.
      quantile: which quantile stands for the largest distance, in groups and in all rows; 1 is the paper's, which
        outliers govern.

    Raises:
      UserError: see `check`.
    """
    codes, factors = check(codes, factors)
    codes = codes[:, np.ptp(codes, axis=0) > 0]
    if not codes.shape[1]:
        return {"irs": 0.0}

    def distance(rows: np.ndarray) -> np.ndarray:
        return np.quantile(np.abs(rows - rows.mean(axis=0)), quantile, axis=0)

    overall, scores = distance(codes), []
    for factor in factors.T:
        values, counts = np.unique(factor, return_counts=True)
        within = [distance(codes[factor == value]) for value in values]
        scores.append(1 - np.average(within, axis=0, weights=counts) / overall)
    return {"irs": float(np.average(np.max(scores, axis=0), weights=overall))}
