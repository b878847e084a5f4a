"""Mutual information of factors and Gaussian q(z|x), against numerical integrals."""

import numpy as np
import pytest
from scipy import stats

from jaxvae.common.errors import UserError
from jaxvae.metrics.information_gap import mig, posterior_information

GRID = np.linspace(-12, 12, 6001)


def population(copies=50):
    """30 random posteriors of three dimensions and two dependent factors, each so many times: `(mean, scale, factors)`.

    The mixtures over x are those of the 30, while more z are drawn from them.
    """
    rng = np.random.default_rng(0)
    first = rng.integers(2, size=30)
    factors = np.stack([first, first + rng.integers(3, size=30)], axis=1)
    mean = rng.normal(size=(30, 3)) + factors @ np.array([[4.0, 0.0, 0.0], [0.0, 2.0, 0.2]])
    return tuple(np.tile(array, (copies, 1)) for array in (mean, rng.uniform(0.2, 1.5, size=(30, 3)), factors))


def integral(mean, scale, factor):
    """I(z; factor) in nats by quadrature, and the variance of log q(z|v) - log q(z)."""
    marginal = stats.norm.pdf(GRID[:, None], mean, scale).mean(axis=1)
    first = second = 0.0
    for value in np.unique(factor):
        some = factor == value
        given = stats.norm.pdf(GRID[:, None], mean[some], scale[some]).mean(axis=1)
        ratio = np.log(np.maximum(given, 1e-300) / np.maximum(marginal, 1e-300))
        first += some.mean() * np.trapezoid(given * ratio, GRID)
        second += some.mean() * np.trapezoid(given * ratio**2, GRID)
    return first, second - first**2


def integrals(mean, scale, factors):
    """The same for all dimensions and factors, `[2, D, F]`."""
    pairs = [[integral(m, s, factor) for factor in factors.T] for m, s in zip(mean.T, scale.T, strict=True)]
    return np.moveaxis(np.array(pairs), -1, 0)


def test_information_is_the_integral():
    exact, variance = integrals(*population(1))
    found = posterior_information(*population(), seed=0)
    assert exact.max() > 0.3
    assert np.all(np.abs(found - exact) < 4 * np.sqrt(variance / 1500))


def test_information_of_shifted_and_of_widened_gaussians():
    # One Gaussian per value: shifted, widened, and the same for all values.
    factors = np.repeat([0, 1, 2], [500, 1000, 1500])[:, None]
    mean = np.array([[-1.0, 0.0, 0.3], [0.5, 0.0, 0.3], [2.0, 0.0, 0.3]])[factors[:, 0]]
    scale = np.array([[0.8, 0.1, 2.0], [0.8, 0.5, 2.0], [0.8, 2.0, 2.0]])[factors[:, 0]]
    exact, variance = integrals(mean[::500], scale[::500], factors[::500])
    found = posterior_information(mean, scale, factors, seed=0, num_rows=1500)
    assert exact.min(axis=1) == pytest.approx([0.5, 0.5, 0.0], abs=0.2)
    assert np.all(np.abs(found - exact)[:2] < 4 * np.sqrt(variance[:2] / 1500))
    assert found[2] == pytest.approx(0, abs=1e-12)


def test_gap_is_that_of_the_integrals():
    mean, scale, factors = population(1)
    exact, variance = integrals(mean, scale, factors)
    gaps, errors = [], []
    for k, factor in enumerate(factors.T):
        second, first = np.argsort(exact[:, k])[-2:]
        share = np.bincount(factor) / len(factor)
        entropy = -np.sum(share * np.log(share))
        gaps.append((exact[first, k] - exact[second, k]) / entropy)
        errors.append((variance[first, k] + variance[second, k]) / 1500 / entropy**2)
    assert np.mean(gaps) > 0.15
    # the same z serve both factors, so that their errors may add up
    assert mig(*population(), seed=0)["mig"] == pytest.approx(np.mean(gaps), abs=4 * np.mean(np.sqrt(errors)))


def test_narrow_posteriors_at_the_factors_have_gap_one_and_wide_ones_none():
    factors = np.stack(np.meshgrid(np.arange(3), np.arange(4), np.arange(20)), axis=-1).reshape(-1, 3)[:, :2]
    narrow, wide = np.full(factors.shape, 1e-3), np.full(factors.shape, 1e9)
    assert mig(factors.astype(float), narrow, factors, seed=0)["mig"] == pytest.approx(1, abs=1e-9)
    assert mig(factors.astype(float), wide, factors, seed=0)["mig"] == pytest.approx(0, abs=1e-9)
    twice = np.concatenate([factors, factors], axis=1).astype(float)
    assert mig(twice, np.full(twice.shape, 1e-3), factors, seed=0)["mig"] == pytest.approx(0, abs=1e-9)


def test_the_seed_decides_the_draws():
    arrays = population(10)
    assert mig(*arrays, seed=1) == mig(*arrays, seed=1)
    assert mig(*arrays, seed=1) != mig(*arrays, seed=2)


@pytest.mark.parametrize(
    ("scale", "num_rows", "message"),
    [
        (lambda scale: scale[:, :1], 10, r"scales have the shape \[300, 1\] for means \[300, 3\]"),
        (lambda scale: 0 * scale, 10, "one positive, finite scale"),
        (lambda scale: np.inf * scale, 10, "one positive, finite scale"),
        (lambda scale: scale, 0, "num_rows is 0"),
    ],
)
def test_refusals(scale, num_rows, message):
    mean, scales, factors = population(10)
    with pytest.raises(UserError, match=message):
        mig(mean, scale(scales), factors, 0, num_rows)


def test_refuses_one_dimension():
    mean, scale, factors = population(10)
    with pytest.raises(UserError, match="codes have 1 dimensions"):
        mig(mean[:, :1], scale[:, :1], factors, 0)
