"""Disentanglement metrics that predict which true factor of `[N, F]` a group of codes `[N, D]` has in common.

Predictors are fitted to random groups and scored on others. The same `seed` gives the same bits.
"""

import numpy as np

from jaxvae.metrics.information import check
from jaxvae.metrics.linear import fit_linear, standardised

VOTES_AT_ONCE = 50  # votes whose codes are held in memory at a time


def factor_vae_score(
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int,
    votes: int = 1_000,
    group: int = 64,
    dead_variance: float = 0.05,
) -> dict[str, float]:
    """FactorVAE score (arXiv:1802.05983, section 4): `{"factor_vae_score": ...}`.

    A vote picks a factor and one of its values (that of a random row), and draws rows with that value, with
    replacement. It goes to the code with the least variance among these rows, relative to the code's variance among all
    rows. Each code predicts the factor of most of its votes. The score is the accuracy on new votes. Chance is one over
    the number of factors that vary (`check`), which is also the score where all codes are dead.

    Args:
      codes: `[N, D]`.
      factors: `[N, F]` integers, at least two of which vary.
      seed: of the draws.
      votes: votes per factor to fit, and as many to score.
      group: rows per vote.
      dead_variance: codes with a smaller variance are left out, as are constant codes. The default suits a prior of
        variance 1; give another where codes have another scale (0 keeps all).

    Raises:
      UserError: as `check`.
    """
    codes, factors = check(codes, factors, min_factors=2)
    alive = (np.ptp(codes, axis=0) > 0) & (codes.var(axis=0) >= dead_variance)
    if not alive.any():
        return {"factor_vae_score": 1 / factors.shape[1]}
    codes = codes[:, alive] / codes[:, alive].std(axis=0)
    rng = np.random.default_rng(seed)

    def ballot() -> np.ndarray:  # [F, D]
        counts = []
        for factor in factors.T:
            value = factor[rng.integers(len(factor), size=(votes, 1))]
            rows = _rows_with(rng, factor, np.repeat(value, group, axis=1))
            least = np.concatenate([codes[some].var(axis=1).argmin(axis=1) for some in _chunks(rows)])
            counts.append(np.bincount(least, minlength=codes.shape[1]))
        return np.stack(counts)

    stands_for, fresh = ballot().argmax(axis=0), ballot()
    return {"factor_vae_score": float(fresh[stands_for, np.arange(codes.shape[1])].sum() / fresh.sum())}


def beta_vae_score(
    codes: np.ndarray, factors: np.ndarray, seed: int, votes: int = 1_000, group: int = 64
) -> dict[str, float]:
    """β-VAE score (Higgins et al., ICLR 2017, section 3): `{"beta_vae_score": ...}`.

    A logistic regression predicts which factor is shared within each pair of rows, from the mean of |z1 - z2| over a
    group of pairs. The score is its accuracy on new draws; chance is one over the number of factors that vary
    (`check`).

    Args:
      codes: `[N, D]`.
      factors: `[N, F]` integers, at least two of which vary.
      seed: of the draws.
      votes: means per factor to fit, and as many to score.
      group: pairs per mean.

    Raises:
      UserError: as `check`.
    """
    codes, factors = check(codes, factors, min_factors=2)
    rng = np.random.default_rng(seed)

    def differences() -> np.ndarray:  # [F * votes, D]
        means = []
        for factor in factors.T:
            one = rng.integers(len(codes), size=(votes, group))
            other = _rows_with(rng, factor, factor[one])
            pairs = zip(_chunks(one), _chunks(other), strict=True)
            means += [np.abs(codes[first] - codes[second]).mean(axis=1) for first, second in pairs]
        return np.concatenate(means)

    shared = np.repeat(np.arange(factors.shape[1]), votes)
    fit, test = standardised(differences(), differences())
    return {"beta_vae_score": float(fit_linear(fit, shared).score(test, shared))}


def _chunks(rows: np.ndarray) -> list[np.ndarray]:
    """Split `[votes, group]` into parts of at most VOTES_AT_ONCE votes."""
    return [rows[i : i + VOTES_AT_ONCE] for i in range(0, len(rows), VOTES_AT_ONCE)]


def _rows_with(rng: np.random.Generator, factor: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Draw a random row with each of `values` (of any shape) of the factor `[N]`."""
    count = np.bincount(factor)
    start = np.cumsum(count) - count
    return np.argsort(factor, kind="stable")[start[values] + rng.integers(count[values])]
