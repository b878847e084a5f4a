"""Disentanglement by guessing which true factor `[N, F]` a group of codes `[N, D]` has in common.

What is fitted to some draws of groups is scored on others. The same `seed` gives the same bits.
"""

import numpy as np

from jaxvae.metrics.information import check
from jaxvae.metrics.linear import fit_linear, standardised

VOTES_AT_ONCE = 50  # whose rows of codes are held at a time


def factor_vae_score(
    codes: np.ndarray,
    factors: np.ndarray,
    seed: int,
    votes: int = 1_000,
    group: int = 64,
    dead_variance: float = 0.05,
) -> dict[str, float]:
    """The FactorVAE score (arXiv:1802.05983, section 4): `{"factor_vae_score": ...}`.

    A vote picks a factor and one of its values (that of a random row) and draws rows with that value, with replacement;
    it goes to the code whose variance among them, divided by that among all rows, is least. Each code then stands for
    the factor that most of its votes are about. The score is the share of fresh votes that this gets right; chance is
    one in the number of factors that vary (`check`), and also the score where all codes are dead.

    Args:
      codes: `[N, D]`.
      factors: `[N, F]` integers, at least two of which vary.
      seed: of the draws.
      votes: per factor, to find what codes stand for, and again to score.
      group: rows per vote.
      dead_variance: codes whose variance is below this take no part, nor do constant ones. The default suits a prior of
        variance 1; where the codes have another scale, give another (0 keeps all).

    Raises:
      UserError: see `check`.
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
    """The β-VAE score (Higgins et al., ICLR 2017, section 3): `{"beta_vae_score": ...}`.

    A logistic regression predicts which factor the two rows of all pairs share, from the mean of |z1 - z2| over the
    pairs. The score is its accuracy on fresh draws; chance is one in the number of factors that vary (`check`).

    Args:
      codes: `[N, D]`.
      factors: `[N, F]` integers, at least two of which vary.
      seed: of the draws.
      votes: means per factor, to fit, and again to score.
      group: pairs per mean.

    Raises:
      UserError: see `check`.
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
    """`[votes, group]` in parts of at most VOTES_AT_ONCE votes."""
    return [rows[i : i + VOTES_AT_ONCE] for i in range(0, len(rows), VOTES_AT_ONCE)]


def _rows_with(rng: np.random.Generator, factor: np.ndarray, values: np.ndarray) -> np.ndarray:
    """For each of `values`, whatever their shape, a random row where the factor `[N]` has it."""
    count = np.bincount(factor)
    start = np.cumsum(count) - count
    return np.argsort(factor, kind="stable")[start[values] + rng.integers(count[values])]
