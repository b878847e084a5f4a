"""Likelihoods of levels and of counts against SciPy and sums over all their values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy import special, stats

from jaxvae import likelihoods
from jaxvae.distributions.counts import NegativeBinomial, Poisson
from jaxvae.distributions.discretized import CategoricalLevels, DiscretizedLogistic, DiscretizedLogisticMixture

RNG = np.random.default_rng(0)
LEVELS, LOW, HIGH = 16, -1.0, 1.0
VALUES = np.linspace(LOW, HIGH, LEVELS, dtype=np.float32)


def f32(*numbers):
    return jnp.asarray(numbers, jnp.float32)


def assert_samples_fit_the_mass(distribution, values, assert_mean):
    """The mass sums to 1; mean and variance are its sums over `values`; samples have these, and its entropy."""

    @jax.jit
    def run(distribution, key):
        samples = distribution.sample(key, (20_000,))
        moments = distribution.mean, distribution.variance
        return distribution.log_prob(values), *moments, samples, distribution.log_prob(samples)

    log_mass, got_mean, got_variance, samples, log_prob = run(distribution, jax.random.key(0))
    log_mass, samples = np.asarray(log_mass, np.float64), np.asarray(samples, np.float64)
    mass = np.exp(log_mass)
    np.testing.assert_allclose(mass.sum(axis=0), 1, rtol=2e-5)
    mean = (mass * values).sum(axis=0)
    variance = (mass * (values - mean) ** 2).sum(axis=0)
    np.testing.assert_allclose(got_mean, mean, rtol=2e-4, atol=1e-5)
    np.testing.assert_allclose(got_variance, variance, rtol=1e-3, atol=1e-5)
    assert_mean(samples, mean)
    assert_mean((samples - mean) ** 2, variance)
    assert_mean(log_prob, (mass * log_mass).sum(axis=0))


def logistic_mass(loc, scale, values):
    step, inf = (HIGH - LOW) / (LEVELS - 1), np.inf
    edges = np.concatenate([[-inf], (values[:-1] + step / 2), [inf]])[:, None]
    upper, lower = (edges[1:] - loc) / scale, (edges[:-1] - loc) / scale
    tail = lower > 0  # where the distribution function is near 1, its complement has the digits
    a, b = np.where(tail, -lower, upper), np.where(tail, -upper, lower)
    return special.log_expit(a) + np.log1p(-np.exp(special.log_expit(b) - special.log_expit(a)))


def test_discretized_logistic_is_a_difference_of_distribution_functions():
    loc, scale = f32(0.0, 0.31, -0.9, 2.0, 0.5), f32(1.0, 0.03, 0.1, 0.2, 30.0)
    got = DiscretizedLogistic(loc, scale, LEVELS, LOW, HIGH).log_prob(VALUES[:, None])
    exact = logistic_mass(np.asarray(loc, float), np.asarray(scale, float), np.linspace(LOW, HIGH, LEVELS))
    np.testing.assert_allclose(got, exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-4, 1e-2, 1.0, 1e4])
@pytest.mark.parametrize("loc", [-1e3, -1.0, 0.07, 1.0, 1e3])
def test_discretized_logistic_at_extremes_sums_to_one_with_finite_gradients(loc, scale):
    def log_prob(loc, scale, value):
        return DiscretizedLogistic(loc, scale, LEVELS, LOW, HIGH).log_prob(value)

    both = jax.jit(jax.vmap(jax.value_and_grad(log_prob, (0, 1)), (None, None, 0)))
    log_probs, gradients = both(*f32(loc, scale), VALUES)
    assert float(special.logsumexp(log_probs)) == pytest.approx(0, abs=2e-5)
    assert np.all(np.isfinite(log_probs))
    assert np.all(np.isfinite(gradients))


@pytest.mark.parametrize("levels", [2, 256])
def test_discretized_logistic_sums_to_one_over_any_number_of_levels(levels):
    values = jnp.linspace(0.0, 1.0, levels)[:, None]
    total = jnp.exp(DiscretizedLogistic(f32(0.2, 0.9), f32(0.1, 0.003), levels, 0.0, 1.0).log_prob(values)).sum(axis=0)
    np.testing.assert_allclose(total, 1, rtol=2e-5)


def test_samples_and_moments_of_the_discretized_distributions(assert_mean):
    loc, scale = f32(-0.9, 0.05, 0.4), f32(0.2, 0.05, 0.5)
    logits = jnp.asarray(RNG.normal(size=(3, 4)), jnp.float32)
    locs, scales = jnp.linspace(-1, 1, 12).reshape(3, 4), jnp.linspace(0.02, 0.3, 12).reshape(3, 4)
    for distribution in (
        DiscretizedLogistic(loc, scale, LEVELS, LOW, HIGH),
        DiscretizedLogisticMixture(logits, locs, scales, LEVELS, LOW, HIGH),
        CategoricalLevels(jnp.asarray(RNG.normal(size=(3, LEVELS)), jnp.float32), LOW, HIGH),
    ):
        assert_samples_fit_the_mass(distribution, VALUES[:, None], assert_mean)


def test_discretized_mixture_is_the_weighted_sum_of_its_parts():
    logits, loc, scale = f32(0.3, -1.0, 2.0), f32(-0.5, 0.1, 0.8), f32(0.1, 0.02, 0.4)
    got = DiscretizedLogisticMixture(logits, loc, scale, LEVELS, LOW, HIGH).log_prob(VALUES)
    exact = logistic_mass(np.asarray(loc, float), np.asarray(scale, float), np.linspace(LOW, HIGH, LEVELS))
    np.testing.assert_allclose(got, special.logsumexp(exact + special.log_softmax(logits), axis=-1), rtol=1e-4)


def test_categorical_takes_the_logit_of_the_nearest_level():
    logits = jnp.asarray(RNG.normal(size=LEVELS), jnp.float32)
    distribution = CategoricalLevels(logits, LOW, HIGH)
    exact = special.log_softmax(np.asarray(logits, float))
    for shift in (0.0, 0.4, -0.4):  # of a step
        got = distribution.log_prob(VALUES + shift * distribution.step)
        np.testing.assert_allclose(got, exact, rtol=1e-5)


def test_gradients_of_the_discretized_distributions_are_their_finite_differences():
    logits, loc, scale = f32(0.3, -1.0, 2.0), f32(-0.5, 0.1, 0.8), f32(0.3, 0.2, 0.4)
    with jax.enable_x64(True):
        arrays = [np.asarray(a, np.float64) for a in (logits, loc, scale)]
        values = np.linspace(LOW, HIGH, LEVELS)

        def mixture(*parts):
            return DiscretizedLogisticMixture(*parts, LEVELS, LOW, HIGH).log_prob(values)

        def categorical(logits):
            return CategoricalLevels(logits, LOW, HIGH).log_prob(values)

        check_grads(jax.jit(mixture), arrays, order=1, modes=["rev"], rtol=1e-6)
        check_grads(jax.jit(categorical), [RNG.normal(size=LEVELS)], order=1, modes=["rev"], rtol=1e-6)


def test_poisson_is_scipys(assert_mean):
    log_mean, counts = np.array([-100.0, -3.0, 0.0, 2.5]), np.arange(60)[:, None]
    distribution = Poisson(jnp.asarray(log_mean, jnp.float32))
    exact = counts * log_mean - np.exp(log_mean) - special.gammaln(counts + 1)
    np.testing.assert_allclose(distribution.log_prob(counts), exact, rtol=1e-5, atol=1e-5)
    assert_samples_fit_the_mass(Poisson(distribution.log_mean[1:]), counts, assert_mean)


MEANS, CONCENTRATIONS = np.geomspace(1e-3, 1e3, 7), np.geomspace(1e-3, 1e6, 10)


def test_negative_binomial_is_scipys_up_to_the_poisson_limit():
    mean, r = MEANS[:, None], CONCENTRATIONS[None]
    got = NegativeBinomial(jnp.asarray(np.log(mean), jnp.float32), jnp.asarray(np.log(r), jnp.float32))
    for count in (0, 1, 2, 7, 40, 1000):
        exact = stats.nbinom.logpmf(count, r, r / (r + mean))
        np.testing.assert_allclose(got.log_prob(float(count)), exact, rtol=2e-5, atol=2e-5)


def test_negative_binomial_gradients_are_those_of_float64():
    mean, r = np.log(np.meshgrid(MEANS, CONCENTRATIONS))
    counts = jnp.arange(9.0)[:, None, None]

    def total(mean, r):
        return jnp.sum(NegativeBinomial(mean, r).log_prob(counts))

    single = jax.jit(jax.grad(total, (0, 1)))(jnp.asarray(mean, jnp.float32), jnp.asarray(r, jnp.float32))
    with jax.enable_x64(True):

        def exact(mean, r):
            n = jnp.exp(r)
            choices = jax.scipy.special.gammaln(counts + n) - jax.scipy.special.gammaln(n)
            return jnp.sum(choices + n * (r - jnp.logaddexp(r, mean)) + counts * (mean - jnp.logaddexp(r, mean)))

        double = jax.jit(jax.grad(exact, (0, 1)))(mean, r)
        check_grads(jax.jit(total), [mean[2:8:3, 2:], r[2:8:3, 2:]], order=1, modes=["rev"], rtol=1e-5)
    np.testing.assert_allclose(single[0], double[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(single[1], double[1], rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_samples_and_moments_of_the_negative_binomials(assert_mean):
    counts = np.arange(400)[:, None]
    log_mean, log_r = f32(-1.0, 0.5, 2.0), f32(1.0, 0.0, 1.5)
    assert_samples_fit_the_mass(NegativeBinomial(log_mean, log_r), counts, assert_mean)
    inflated = likelihoods.negative_binomial((3,), zero_inflated=True)
    outputs = jnp.stack([log_mean, f32(-2.0, 0.0, 1.0)], axis=-1)
    assert_samples_fit_the_mass(inflated.build({"log_concentration": log_r}, outputs), counts, assert_mean)


def test_zero_inflated_negative_binomial_is_its_formula():
    log_mean, log_r, logits = np.array([-3.0, 0.0, 4.0]), np.array([0.5, -1.0, 2.0]), np.array([-30.0, 0.7, 5.0])
    likelihood = likelihoods.negative_binomial((3,), zero_inflated=True)
    outputs = jnp.asarray(np.stack([log_mean, logits], axis=-1), jnp.float32)
    got = likelihood.build({"log_concentration": jnp.asarray(log_r, jnp.float32)}, outputs)
    r, gate = np.exp(log_r), special.expit(logits)
    for count in (0, 1, 5, 80):
        mass = (1 - gate) * stats.nbinom.pmf(count, r, r / (r + np.exp(log_mean))) + gate * (count == 0)
        np.testing.assert_allclose(got.log_prob(float(count)), np.log(mass), rtol=2e-4, atol=1e-4)


@pytest.mark.parametrize(("link", "function"), [("exp", np.exp), ("softplus", lambda x: np.logaddexp(0, x))])
def test_links_of_counts(link, function):
    outputs = np.array([-100.0, -20.0, -10.5, -9.5, 0.0, 3.0, 12.0])
    got = likelihoods.poisson(link).build({}, jnp.asarray(outputs, jnp.float32))
    np.testing.assert_allclose(got.log_mean, np.log(function(outputs)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        likelihoods.poisson(link).encoder_input(jnp.arange(4.0)), np.log1p(np.arange(4)), rtol=1e-6
    )
