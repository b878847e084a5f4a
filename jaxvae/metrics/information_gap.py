"""Mutual information gap: of q(z|x) itself, as in the paper, or of codes in bins."""

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.metrics.arrays import spread_rows
from jaxvae.metrics.information import check, mutual_information

CHUNK = 1_000_000  # densities held at a time, of 8 bytes each


def mig(mean: np.ndarray, scale: np.ndarray, factors: np.ndarray, seed: int, num_rows: int = 5000) -> dict[str, float]:
    """Mutual information gap (Chen et al. 2018, arXiv:1802.04942, equation 6): `{"mig": ...}`.

    For each factor, the difference of the two largest I(z_d; factor), divided by the factor's entropy; averaged over
    the factors that vary (`check`). 1: one latent dimension determines each factor, and the others are independent of
    it. 0: two dimensions are equally informative, so that a copy of a dimension removes all its credit.

    z is drawn from q(z|x), so that noise of the posterior counts as lost information; see `posterior_information`.

    Args:
      mean: `[N, D]`, means of Gaussian marginals q(z_d|x), D at least 2.
      scale: `[N, D]`, their standard deviations.
      factors: `[N, F]` integers.
      seed: of the draws of z.
      num_rows: number of z, at most N; the time is proportional to it.

    Raises:
      UserError: as `check`; or scales that are not positive, finite and of the shape of `mean`.
    """
    mean, factors = check(mean, factors, min_codes=2)
    return {"mig": gap(posterior_information(mean, scale, factors, seed, num_rows), factors)}


def mig_bins(codes: np.ndarray, factors: np.ndarray, bins: int = 20) -> dict[str, float]:
    """Mutual information gap of codes in equal-width bins, as in disentanglement_lib: `{"mig_bins": ...}`.

    As `mig`, but each code is one point per example: noise of q(z|x) is not counted, so scores differ. For any codes,
    also those of autoencoders.

    Args:
      codes: `[N, D]`, D at least 2.
      factors: `[N, F]` integers.
      bins: equal-width bins of each code.

    Raises:
      UserError: as `check`.
    """
    codes, factors = check(codes, factors, min_codes=2)
    return {"mig_bins": gap(mutual_information(codes, factors, bins), factors)}


def posterior_information(
    mean: np.ndarray, scale: np.ndarray, factors: np.ndarray, seed: int, num_rows: int = 5000
) -> np.ndarray:
    """Estimate I(z_d; factor) `[D, F]` in nats from q(z|x) (arXiv:1802.04942, appendix B).

    The mean of log q(z_d|v) - log q(z_d) over one z ~ q(z|x_n) for each of `num_rows` evenly spaced n, where v is the
    factor's value at x_n. q(z_d) is the mixture of all q(z_d|x_m), and q(z_d|v) that of the x_m with the value v. For
    the N examples as the whole population, the error is that of the mean alone. For examples that stand for more, the
    bias is upwards, since x_n itself is in both mixtures.

    Args:
      mean: `[N, D]`, means of Gaussian marginals q(z_d|x).
      scale: `[N, D]`, their standard deviations.
      factors: `[N, F]`, whole numbers from 0.
      seed: of the draws of z.
      num_rows: number of z, at most N.

    Raises:
      UserError: scales that are not positive, finite and of the shape of `mean`, or `num_rows` below 1.
    """
    mean, scale = np.asarray(mean, np.float64), np.asarray(scale, np.float64)
    if scale.shape != mean.shape or not np.all((scale > 0) & np.isfinite(scale)):
        raise UserError(
            f"The scales have the shape {list(scale.shape)} for means {list(mean.shape)}; there must be one positive, "
            "finite scale for each mean. Give the standard deviations of q(z|x)."
        )
    if num_rows < 1:
        raise UserError(f"num_rows is {num_rows}, but at least one z must be drawn.")
    num, dim = mean.shape
    rows = spread_rows(num, num_rows)
    z = mean[rows] + scale[rows] * np.random.default_rng(seed).normal(size=(len(rows), dim))
    total = np.zeros((dim, factors.shape[1]))
    for at in np.array_split(np.arange(len(rows)), -(-len(rows) * num * dim // CHUNK)):
        # [R, D, N]; a factor of each row cancels in the ratio of the two mixtures
        logs = -0.5 * np.square((z[at, :, None] - mean.T) / scale.T) - np.log(scale.T)
        density = np.exp(logs - logs.max(axis=-1, keepdims=True))
        log_marginal = np.log(density.mean(axis=-1))
        for k, factor in enumerate(factors.T):
            same = factor[rows[at], None] == factor  # [R, N]
            conditional = np.matmul(density, same[..., None].astype(np.float64))[..., 0] / same.sum(axis=-1)[:, None]
            total[:, k] += np.sum(np.log(conditional) - log_marginal, axis=0)
    return total / len(rows)


def gap(information: np.ndarray, factors: np.ndarray) -> float:
    """Mean over factors of the gap between the two largest of `information [D, F]` nats, as a share of the entropy."""
    entropies = []
    for factor in factors.T:
        share = np.unique(factor, return_counts=True)[1] / len(factor)
        entropies.append(-np.sum(share * np.log(share)))
    second, first = np.sort(information, axis=0)[-2:]
    return float(np.mean((first - second) / np.array(entropies)))
