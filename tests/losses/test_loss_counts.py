"""Likelihoods of counts against SciPy in float64, from 0 to 1e6."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from jaxvae import losses

COUNTS = [0, 1, 2, 3, 5, 8, 20, 1e2, 1e3, 1e4, 1e5, 1e6]
DISTANCES = [-20, -3, -0.7, -0.5, -0.1, -1e-2, -1e-3, 0, 1e-3, 0.1, 0.41, 0.6, 2, 10]  # of log(mean) from log(count)
LOG_CONCENTRATIONS = [-10, -3, 0, 1, 2, 4, 8, 12, 15]


def grid(*axes):
    return np.array(list(itertools.product(*axes)), np.float32).T


def negative_binomial_reference(m, r, x):
    choices = special.gammaln(r + x) - special.gammaln(r) - special.gammaln(x + 1)
    return -(choices - r * np.log1p(m / r) - x * np.log1p(r / m))


def value_and_slopes(loss, *args):
    """Value `[N]` and derivatives by each float argument but the last, the counts."""

    def one(*row):
        return loss(*(a[None] for a in row))[0]

    count = len(args) - 1
    value, slopes = jax.jit(jax.vmap(jax.value_and_grad(one, tuple(range(count)))))(*args)
    return np.asarray(value, np.float64), [np.asarray(s, np.float64) for s in slopes]


@pytest.fixture(scope="module")
def poisson():
    x, distance = grid(COUNTS, DISTANCES)
    log_mean = np.log(np.maximum(x, 1)) + distance
    return (log_mean, x), value_and_slopes(losses.poisson_nll, log_mean, x)


@pytest.fixture(scope="module")
def negative_binomial():
    x, distance, log_r = grid(COUNTS, DISTANCES, LOG_CONCENTRATIONS)
    log_mean = np.log(np.maximum(x, 1)) + distance
    return (log_mean, log_r, x), value_and_slopes(losses.negative_binomial_nll, log_mean, log_r, x)


def test_poisson_is_scipys(poisson):
    (log_mean, x), (value, (slope,)) = poisson
    mean = np.exp(np.float64(log_mean))
    np.testing.assert_allclose(value, -stats.poisson.logpmf(x, mean), rtol=1e-5, atol=2e-5)
    np.testing.assert_allclose(slope / (1 + x), (mean - x) / (1 + x), rtol=1e-6, atol=2e-7)


def test_negative_binomial_is_scipys(negative_binomial):
    (log_mean, log_r, x), (value, (by_mean, by_r)) = negative_binomial
    m, r, x = np.exp(np.float64(log_mean)), np.exp(np.float64(log_r)), np.float64(x)
    exact = negative_binomial_reference(m, r, x)
    np.testing.assert_allclose(value, exact, rtol=1e-5, atol=2e-5)
    inside = m > 1e-4 * r  # elsewhere SciPy loses the digits of 1 - p
    by_scipy = -stats.nbinom.logpmf(x, r, 1 / (1 + m / r))
    np.testing.assert_allclose(value[inside], by_scipy[inside], rtol=1e-5, atol=2e-5)
    np.testing.assert_allclose(by_mean / (1 + x), r * (m - x) / (r + m) / (1 + x), rtol=2e-6, atol=2e-7)
    log_ratio = special.digamma(r + x) - special.digamma(r) - np.log1p(m / r) + (m - x) / (r + m)
    scale = 1 + 1e-9 * r * np.log1p((x + m) / r)  # float64 cancels, too: 1e-16 of the greatest term
    np.testing.assert_allclose(by_r / scale, -r * log_ratio / scale, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("log_r", [60.0, 100.0])
def test_negative_binomial_of_a_huge_concentration_is_the_poisson(poisson, log_r):
    (log_mean, x), (expected, (slope,)) = poisson
    value, (by_mean, by_r) = value_and_slopes(losses.negative_binomial_nll, log_mean, np.full_like(x, log_r), x)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=3e-5)
    np.testing.assert_allclose(by_mean / (1 + x), slope / (1 + x), rtol=1e-5, atol=4e-7)
    np.testing.assert_allclose(by_r, 0, atol=3e-6)  # m^2 / (2 r) is 2e-6 at the most


@pytest.mark.parametrize("log_r", [-40.0, -100.0])
def test_negative_binomial_of_a_tiny_concentration_is_the_logarithmic_series(log_r):
    # log NB(x) -> log r - log x for r << 1 << m, x > 0
    value = jax.jit(losses.negative_binomial_nll)(
        jnp.full((1, 2), 30.0), jnp.full((1, 2), log_r), jnp.array([[1, 1000]])
    )
    np.testing.assert_allclose(value, -2 * log_r + np.log(1000), rtol=1e-5)


def test_counts_from_zero_to_many_sum_to_one():
    x = jnp.arange(4000.0)[:, None]

    def mass(loss, *parameters):
        value = jax.jit(loss)(*(jnp.full_like(x, p) for p in parameters), x)
        return np.exp(-np.asarray(value, np.float64)).sum()

    assert mass(losses.poisson_nll, 5.0) == pytest.approx(1, abs=1e-5)
    assert mass(losses.negative_binomial_nll, 4.0, 0.5) == pytest.approx(1, abs=1e-5)
    assert mass(losses.zero_inflated_negative_binomial_nll, 4.0, 0.5, 0.3) == pytest.approx(1, abs=1e-5)


def test_float64_values():
    with jax.enable_x64(True):
        x, distance, log_r = grid([0, 3, 700, 4e4], [-1, -0.009, 0.0, 0.4], [-3, 1, 9]).astype(np.float64)
        log_mean = np.log(np.maximum(x, 1)) + distance
        m, r = np.exp(log_mean), np.exp(log_r)
        value = jax.jit(jax.vmap(losses.negative_binomial_log_prob))(log_mean, log_r, x)
        np.testing.assert_allclose(-value, negative_binomial_reference(m, r, x), rtol=1e-9, atol=1e-9)
