"""Annealed importance sampling on the linear-Gaussian model, where log p(x), and each f_b, is known."""

import functools

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import pytest
from scipy import special
from slow_cases import fast

from jaxvae import likelihoods, posteriors
from jaxvae.common.errors import UserError
from jaxvae.distributions import HamiltonianFlow
from jaxvae.metrics import annealing
from jaxvae.metrics.annealed import ais, bidirectional, reverse_ais, simulate
from jaxvae.metrics.likelihood import importance_nll
from jaxvae.metrics.paths import STARTS, paths
from jaxvae.metrics.rate_distortion import rate_distortion
from jaxvae.models.vae import latent_of

WRONG, SHORT = lg.params(0.4, 0.3), {"num_chains": 1, "num_leapfrog": 3}


@functools.cache
def gaps(num_temperatures, start="prior", num=1000):
    """Log p(x) less its lower, and its upper bound less log p(x), for `num` simulated x."""
    z_x_key, key = jax.random.split(jax.random.key(num_temperatures))
    z, x = simulate(lg.MODEL, WRONG, z_x_key, num)
    options = {**SHORT, "start": start, "num_temperatures": num_temperatures}

    @jax.jit
    def both(key):
        lower_key, upper_key = jax.random.split(key)
        lower = ais(lg.MODEL, WRONG, lower_key, x, **options)
        return lower, reverse_ais(lg.MODEL, WRONG, upper_key, z, x, **options)

    lower, upper = (np.asarray(bound, np.float64) for bound in both(key))
    exact = lg.MARGINAL.logpdf(np.asarray(x, np.float64))
    return exact - lower, upper - exact


def test_simulated_data_have_the_moments_of_the_model(assert_mean):
    z, x = (np.asarray(a, np.float64) for a in simulate(lg.MODEL, WRONG, jax.random.key(0), 20_000))
    assert_mean(x, lg.BIAS)
    assert_mean(np.einsum("ni,nj->nij", x - lg.BIAS, z), lg.WEIGHT)
    assert_mean(np.einsum("ni,nj->nij", x - lg.BIAS, x - lg.BIAS), lg.MARGINAL.cov)


@pytest.mark.parametrize("start", fast(STARTS, "posterior"))
def test_weights_are_unbiased_however_short_the_path(start, assert_mean):
    """The mean of w / p(x) is 1, forwards, and that of the reverse chain's p(x) / w as well."""
    for gap in gaps(80, start):
        assert 0.05 < gap.std() < 1
        assert_mean(np.exp(-gap), 1)


@pytest.mark.slow
@pytest.mark.parametrize("start", STARTS)
def test_bounds_bracket_the_truth_and_close_with_the_temperatures(start):
    for few, many in zip(gaps(5, start), gaps(80, start), strict=True):
        assert few.mean() > 4 * few.std() / np.sqrt(len(few))
        assert many.mean() > 0
        assert many.mean() < few.mean() / 3


@pytest.mark.slow
def test_from_the_exact_posterior_both_bounds_are_exact():
    options = {"num_temperatures": 7, "num_chains": 2, "num_leapfrog": 3, "start": "posterior"}
    params = lg.params()
    z, x = simulate(lg.MODEL, params, jax.random.key(0), 6)
    exact = lg.MARGINAL.logpdf(x)

    @jax.jit
    def both():
        lower = ais(lg.MODEL, params, jax.random.key(1), x, **options)
        return lower, reverse_ais(lg.MODEL, params, jax.random.key(2), z, x, **options)

    for bound in both():
        np.testing.assert_allclose(bound, exact, rtol=1e-5)


@pytest.mark.slow
def test_long_paths_agree_with_the_truth_and_with_importance_sampling():
    options = {"num_temperatures": 200, "num_chains": 300, "num_leapfrog": 5}
    got = jax.jit(lambda key: ais(lg.MODEL, WRONG, key, lg.X, **options))(jax.random.key(0))
    np.testing.assert_allclose(got, lg.LOG_PX, atol=0.1)
    sampled = importance_nll(lg.MODEL, WRONG, jax.random.key(1), lg.X, 5000)
    np.testing.assert_allclose(got, -sampled, atol=0.1)


@pytest.mark.slow
def test_bidirectional_is_both_bounds_of_the_simulated_data():
    bounds = jax.jit(lambda key: bidirectional(lg.MODEL, WRONG, key, 400, num_temperatures=100, num_chains=4))
    lower, upper = map(np.asarray, bounds(jax.random.key(0)))
    assert lower.shape == upper.shape == (400,)
    gap = upper - lower
    assert gap.mean() > 2 * gap.std() / np.sqrt(len(gap))
    assert gap.mean() < 0.3


@pytest.mark.slow
def test_memory_changes_nothing_but_rounding():
    def bounds(memory_mb):
        options = {"num_temperatures": 6, "num_chains": 3, "num_leapfrog": 2, "memory_mb": memory_mb}
        return jax.jit(lambda key: ais(lg.MODEL, WRONG, key, lg.X, **options))(jax.random.key(5))

    np.testing.assert_allclose(bounds(5 * 4 * lg.DATA / 1e6), bounds(8.0), rtol=1e-4)


@pytest.mark.slow
def test_pilot_finds_steps_that_are_accepted_as_often_as_they_should_be():
    key = jax.random.key(0)
    path_of = paths(lg.MODEL, WRONG, jnp.asarray(lg.X), "prior", 1, 5)
    betas = jnp.ones(400)  # always the posterior
    steps = annealing.pilot_steps(path_of, key, annealing.Examples.of(lg.X, None), betas, 5, 100)
    path, step = path_of(0), jnp.exp(jnp.mean(jnp.log(steps[0, 200:])))

    def move(at, key):
        return annealing.move(path, key, at, jnp.ones(()), step, 5)

    first = annealing.point(path, lg.posterior_moments(lg.params(), lg.X)[0][0])
    _, accepted = jax.lax.scan(move, first, jax.random.split(jax.random.key(1), 1000))
    assert abs(accepted.mean() - annealing.ACCEPTANCE) < 0.1


@pytest.mark.slow
def test_rate_distortion_curve_of_a_gaussian():
    """p(z) exp(-b d) is a Gaussian of precision I + b W'W / s^2, and the columns of W are orthogonal."""
    curve = jax.jit(lambda key: rate_distortion(lg.MODEL, WRONG, key, lg.X, 300, 300, num_leapfrog=5, num_points=7))
    got = curve(jax.random.key(0))
    assert got["beta"][-1] == 10
    squares, centred = np.sum(lg.WEIGHT**2, axis=0), lg.X - lg.BIAS
    for beta, rate, distortion in zip(*(np.asarray(got[k]) for k in ("beta", "rate", "distortion")), strict=True):
        variance = 1 / (1 + beta * squares / lg.NOISE)
        mean = variance * beta * (centred @ lg.WEIGHT) / lg.NOISE
        exact = 0.5 * np.mean(np.sum(variance + mean**2 - 1 - np.log(variance), axis=1))
        error = np.sum((centred - mean @ lg.WEIGHT.T) ** 2, axis=1) + variance @ squares
        error = 0.5 * np.mean(error / lg.NOISE + lg.DATA * np.log(2 * np.pi * lg.NOISE))
        np.testing.assert_allclose(rate, exact, rtol=0.05, atol=0.05)
        np.testing.assert_allclose(distortion, error, rtol=0.05)


def test_schedule_is_a_sigmoid_from_0_to_1():
    line = np.linspace(-4, 4, 11)
    low, high = special.expit([-4, 4])
    np.testing.assert_allclose(annealing.temperatures(10), (special.expit(line) - low) / (high - low), atol=1e-6)


def changed(**parts):
    if "posterior" in parts:
        parts["latent"] = latent_of(parts.pop("posterior"))
    return lg.MODEL._replace(**parts)


SPHERE = changed(posterior=posteriors.von_mises_fisher(lg.LATENT))
POINT = changed(posterior=posteriors.delta(lg.LATENT))
FLOW = HamiltonianFlow(lg.MODEL.prior({}), jax.tree_util.Partial(lambda z: -jnp.sum(z**2, axis=-1)), 0.1, 0.5, 1)
HAMILTONIAN = changed(encode=lambda params, x, context=None: FLOW, posterior=posteriors.hamiltonian(lg.LATENT))
NO_DENSITY = changed(likelihood=likelihoods.squared_error())


class Sampler:
    def log_prob(self, z):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (SPHERE, {}, "unit sphere"),
        (changed(posterior=posteriors.gumbel_softmax(lg.LATENT)), {}, "codes"),
        (NO_DENSITY, {}, "likelihood that is a density"),
        (POINT, {"start": "posterior"}, "start=prior"),
        (HAMILTONIAN, {"start": "posterior"}, "or Hamiltonian\\): take start=prior"),
        (changed(prior=lambda params: Sampler()), {}, "log p\\(z\\)"),
        (lg.MODEL, {"start": "encoder"}, "Known: posterior, prior"),
        (lg.MODEL, {"num_temperatures": 0}, "num_temperatures=0"),
        (lg.MODEL, {"num_chains": 0}, "num_chains=0"),
        (lg.MODEL, {"num_leapfrog": 0}, "num_leapfrog=0"),
    ],
)
def test_refuses_what_it_cannot_anneal(model, options, message):
    with pytest.raises(UserError, match=message):
        ais(model, WRONG, jax.random.key(0), lg.X, **options)


@pytest.mark.parametrize(("options", "message"), [({"max_beta": 0.0}, "max_beta"), ({"num_points": 501}, "num_points")])
def test_rate_distortion_refuses_what_is_no_curve(options, message):
    with pytest.raises(UserError, match=message):
        rate_distortion(lg.MODEL, WRONG, jax.random.key(0), lg.X, **options)


def test_needs_no_more_densities_than_it_uses():
    """An autoencoder is annealed from its prior; a loss has a curve."""
    key = jax.random.key(0)
    assert jax.eval_shape(lambda: ais(POINT, WRONG, key, lg.X, 5, 2)).shape == (lg.BATCH,)
    curve = jax.eval_shape(lambda: rate_distortion(NO_DENSITY, WRONG, key, lg.X, 5, 2, num_points=3))
    assert curve["rate"].shape == (3,)
