"""Von Mises-Fisher and uniform on the sphere against Bessel functions, quadrature and moments."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats
from slow_cases import fast, fast_rows

from jaxvae.distributions.kl import analytic_kl
from jaxvae.distributions.sphere import HypersphericalUniform, VonMisesFisher
from jaxvae.losses import kl_vmf_uniform
from jaxvae.losses.sphere import log_area, log_normalizer, mean_resultant

KAPPAS = np.logspace(-3, 4, 57)
DIMS = (2, 3, 5, 10, 33, 64)
CASES = [(2, 1e-3), (2, 1.0), (2, 50.0), (3, 1e-3), (3, 1.0), (3, 50.0), (3, 1e4), (10, 1.0), (10, 50.0), (10, 1e4)]


def direction(dim, seed=0):
    loc = np.random.default_rng(seed + dim).normal(size=dim)
    return loc / np.linalg.norm(loc)


def vmf(dim, kappa):
    return VonMisesFisher(jnp.asarray(direction(dim), jnp.float32), jnp.float32(kappa))


def exact_log_normalizer(kappa, dim):  # of exp(kappa (mu.x - 1)), by the Bessel function scaled by exp(-kappa)
    nu = dim / 2 - 1
    return dim / 2 * np.log(2 * np.pi) - nu * np.log(kappa) + np.log(special.ive(nu, kappa))


def exact_resultant(kappa, dim):
    return special.ive(dim / 2, kappa) / special.ive(dim / 2 - 1, kappa)


def angle_density(kappa, dim):  # of theta, float64
    log_constant = log_area(dim - 1) - exact_log_normalizer(kappa, dim)
    return lambda t: np.sin(t) ** (dim - 2) * np.exp(log_constant - 2 * kappa * np.sin(t / 2) ** 2)


def points(dim, kappa, lower=0.0):
    """Where scipy's quadrature has to look: multiples of the width."""
    return [t for t in np.array([0.3, 1, 2, 3, 5, 8]) * np.sqrt(dim / kappa) if lower < t < np.pi] or None


@functools.partial(jax.jit, static_argnums=0)
def sample(dim, kappa, key):
    return vmf(dim, kappa).sample(key, (20_000,))


@functools.cache
def draw(dim, kappa):
    return np.asarray(sample(dim, kappa, jax.random.key(7)), np.float64)


@functools.partial(jax.jit, static_argnums=0)
def angle_and_slope(dim, kappa, key):
    def theta(k):
        z = vmf(dim, k).sample(key, (24,))
        return 2 * jnp.arcsin(jnp.linalg.norm(z - direction(dim).astype(np.float32), axis=-1) / 2)

    return jax.jvp(theta, (kappa,), (jnp.float32(1),))


@jax.jit
def skewed_gradient(kappa, loc, a, keys):
    def f(kappa, raw, key):
        z = VonMisesFisher(raw / jnp.linalg.norm(raw), kappa).rsample(key)
        return jnp.exp(jnp.sum(a * (z - loc)))

    return jax.vmap(jax.grad(f, (0, 1)), (None, None, 0))(kappa, loc, keys)


def angles(dim, z):
    return 2 * np.arcsin(np.minimum(np.linalg.norm(z - direction(dim), axis=-1) / 2, 1))


@pytest.mark.parametrize("dim", fast(DIMS, 2, 3, 33))
def test_normalizer_and_its_derivative_are_bessel_functions(dim):
    kappa, resultant = KAPPAS.astype(np.float32), exact_resultant(KAPPAS, dim)
    exact = exact_log_normalizer(KAPPAS, dim)
    np.testing.assert_allclose(log_normalizer(kappa, dim), exact, rtol=1e-6, atol=1.5e-5)
    np.testing.assert_allclose(log_normalizer(kappa, dim) + KAPPAS, exact + KAPPAS, rtol=1e-5)  # -log C, at no zero
    np.testing.assert_allclose(mean_resultant(kappa, dim), resultant, rtol=3e-6)
    slope, second = jax.jit(jax.vmap(jax.value_and_grad(jax.grad(lambda k: log_normalizer(k, dim)))))(kappa)
    np.testing.assert_allclose(-slope, 1 - resultant, rtol=1e-5)
    of_resultant = jax.jit(jax.vmap(jax.grad(lambda k: mean_resultant(k, dim))))(kappa)
    step = 1e-3 * KAPPAS
    variance = (exact_resultant(KAPPAS + step, dim) - exact_resultant(KAPPAS - step, dim)) / (2 * step)
    np.testing.assert_allclose(second, variance, rtol=1e-4)
    np.testing.assert_allclose(of_resultant, variance, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize(
    ("dim", "kappa"),
    fast_rows([(2, 0.01), (2, 3.0), (2, 400.0), (3, 0.01), (3, 3.0), (3, 400.0)], (2, 3.0), (3, 400.0)),
)
def test_density_integrates_to_one(dim, kappa):
    loc = direction(dim)
    if dim == 2:
        phi, sin, area = np.linspace(0, 2 * np.pi, 1000, endpoint=False), 1.0, 2 * np.pi / 1000
        x = np.stack([np.cos(phi), np.sin(phi)], axis=-1)
    else:
        cos, weights = np.polynomial.legendre.leggauss(200)
        phi = np.linspace(0, 2 * np.pi, 400, endpoint=False)
        sin, area = np.sqrt(1 - cos**2)[:, None], weights[:, None] * 2 * np.pi / 400
        x = np.stack([sin * np.cos(phi), sin * np.sin(phi), np.broadcast_to(cos[:, None], (200, 400))], axis=-1)
    d = VonMisesFisher(loc.astype(np.float32), kappa)
    assert float(np.sum(np.exp(np.asarray(d.log_prob(x), np.float64)) * area)) == pytest.approx(1, abs=1e-5)
    exact = kappa * (x @ loc - 1) - exact_log_normalizer(kappa, dim)
    np.testing.assert_allclose(d.log_prob(x), exact, rtol=1e-5, atol=1e-5)
    uniform = np.exp(np.asarray(HypersphericalUniform(dim).log_prob(x), np.float64))
    assert float(np.sum(uniform * area)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("dim", "kappa"), fast_rows(CASES, (2, 1.0), (3, 1e-3), (10, 50.0)))
def test_samples_have_the_distribution_of_the_angle(dim, kappa):
    z = draw(dim, kappa)
    np.testing.assert_allclose(np.linalg.norm(z, axis=-1), 1, atol=1e-6)
    grid = np.linspace(0, min(np.pi, 12 * np.sqrt(dim / kappa)), 20_001)
    cdf = integrate.cumulative_simpson(angle_density(kappa, dim)(grid), x=grid, initial=0)
    assert cdf[-1] == pytest.approx(1, abs=1e-6)
    assert stats.kstest(angles(dim, z), lambda t: np.interp(t, grid, cdf)).pvalue > 1e-3


@pytest.mark.parametrize(("dim", "kappa"), fast_rows(CASES, (2, 1.0), (3, 1e-3), (10, 50.0)))
def test_samples_have_the_moments(dim, kappa, assert_mean):
    z, loc, resultant = draw(dim, kappa), direction(dim), exact_resultant(kappa, dim)
    np.testing.assert_allclose(vmf(dim, kappa).mean, resultant * loc, rtol=1e-5, atol=1e-9)
    assert_mean(np.sum((z - loc) ** 2, axis=-1) / 2, 1 - resultant)
    basis = np.linalg.qr(np.column_stack([loc, np.eye(dim)[:, 1:]]))[0][:, 1:]  # of the tangent space
    tangent = z @ basis
    assert_mean(tangent, np.zeros(dim - 1), sigmas=4.5)
    assert_mean(tangent[:, :, None] * tangent[:, None], resultant / kappa * np.eye(dim - 1), sigmas=4.5)


@pytest.mark.parametrize(("dim", "kappa"), fast_rows(CASES, (2, 1.0), (3, 1e-3), (10, 50.0)))
def test_entropy_and_kl_are_their_estimates_and_integrals(dim, kappa, assert_mean):
    d, density = vmf(dim, kappa), angle_density(kappa, dim)
    log_prob = np.asarray(d.log_prob(draw(dim, kappa)), np.float64)
    assert_mean(-log_prob, d.entropy())
    kl = float(kl_vmf_uniform(jnp.float32([kappa]), dim)[0])
    assert_mean(log_prob + log_area(dim), kl)

    def integrand(t):
        excess = log_area(dim) - 2 * kappa * np.sin(t / 2) ** 2 - exact_log_normalizer(kappa, dim)
        return density(t) * excess

    upper = min(np.pi, 12 * np.sqrt(dim / kappa))
    assert kl == pytest.approx(integrate.quad(integrand, 0, upper, limit=200)[0], rel=1e-5, abs=3e-6)
    assert kl == pytest.approx(log_area(dim) - float(d.entropy()), rel=1e-6, abs=1e-6)
    slope = jax.grad(lambda k: kl_vmf_uniform(k[None], dim)[0])(jnp.float32(kappa))  # kappa A'(kappa)
    variance = 1 - exact_resultant(kappa, dim) ** 2 - (dim - 1) / kappa * exact_resultant(kappa, dim)
    assert float(slope) == pytest.approx(kappa * variance, rel=1e-3, abs=3e-6)


@pytest.mark.parametrize(("dim", "kappa"), fast_rows(CASES, (2, 1.0), (3, 1e-3), (10, 50.0)))
def test_each_sample_moves_with_kappa_as_its_quantile_does(dim, kappa):
    value, slope = angle_and_slope(dim, jnp.float32(kappa), jax.random.key(3))
    density, resultant = angle_density(kappa, dim), exact_resultant(kappa, dim)
    for t, got in zip(np.asarray(value, np.float64), slope, strict=True):
        flow, _ = integrate.quad(lambda s: density(s) * (np.cos(s) - resultant), 0, t, epsabs=1e-13, limit=200)
        assert float(got) == pytest.approx(-flow / density(t), rel=1e-2, abs=2e-3 * np.sqrt(dim / max(kappa, 1) ** 3))


@pytest.mark.parametrize(
    ("dim", "kappa"),
    fast_rows([(d, k) for d in (2, 3, 10) for k in (1e-3, 1.0, 50.0, 1e4)], (2, 1.0), (3, 1e4), (10, 1e-3)),
)
def test_pathwise_gradients_are_those_of_the_expectation(dim, kappa, assert_mean):
    """f(z) = exp(a.z - a.mu) is skewed, and E[f] = Z(|kappa mu + a|) / Z(kappa) with Z unscaled, exactly."""
    loc, scale = direction(dim), max(1.0, np.sqrt(kappa) / 2)
    a = scale * direction(dim, seed=1)
    shift = a @ loc

    def expectation(kappa, raw):
        sum_ = np.linalg.norm(kappa * raw / np.linalg.norm(raw) + a)
        return np.exp(exact_log_normalizer(sum_, dim) + sum_ - exact_log_normalizer(kappa, dim) - kappa - shift)

    keys = jax.random.split(jax.random.key(5), 10_000)
    to_kappa, to_loc = skewed_gradient(jnp.float32(kappa), jnp.float32(loc), jnp.float32(a), keys)
    step = 1e-4 * kappa
    exact = (expectation(kappa + step, loc) - expectation(kappa - step, loc)) / (2 * step)
    assert_mean(to_kappa, exact)
    steps = 1e-5 * np.eye(dim)
    exact = [(expectation(kappa, loc + s) - expectation(kappa, loc - s)) / 2e-5 for s in steps]
    assert_mean(to_loc, exact)


@pytest.mark.parametrize("dim", [2, 3, 10])
def test_uniform_samples(dim, assert_mean):
    d = HypersphericalUniform(dim)
    z = np.asarray(d.sample(jax.random.key(0), (20_000,)), np.float64)
    assert_mean(z, d.mean)
    assert_mean(z[:, :, None] * z[:, None], np.eye(dim) / dim)
    assert float(d.entropy()) == pytest.approx(np.log(2 * np.pi ** (dim / 2) / special.gamma(dim / 2)), rel=1e-6)
    np.testing.assert_allclose(d.log_prob(z[:5]), -np.full(5, d.entropy()), rtol=1e-6)
    assert jax.tree.map(jax.lax.stop_gradient, d).log_prob(z[:5]).shape == (5,)


@pytest.mark.slow
def test_shapes_and_transformations():
    loc = jnp.asarray([direction(3), -direction(3), [1.0, 0, 0], [-1.0, 0, 0], [0, 0, 1.0]], jnp.float32)
    d = VonMisesFisher(loc, jnp.full((2, 1), 5.0))
    assert (d.batch_shape, d.event_shape, d.has_rsample) == ((2, 5), (3,), True)
    draw_ = jax.jit(lambda d, seed: d.sample(jax.random.key(seed), (7,)), static_argnums=1)
    z = draw_(d, 0)
    assert z.shape == (7, 2, 5, 3)
    log_prob = jax.jit(lambda d, z: d.log_prob(z))
    log_probs, entropy, mean = jax.jit(lambda d: (d.log_prob(z), d.entropy(), d.mean))(d)
    assert log_probs.shape == (7, 2, 5)
    assert entropy.shape == (2, 5)
    rows = VonMisesFisher(loc, jnp.float32(5.0))  # one concentration for all
    kl = jax.jit(lambda rows: analytic_kl(rows, HypersphericalUniform(3)))(rows)
    np.testing.assert_allclose(kl, log_area(3) - entropy[0], rtol=1e-6)
    assert mean.shape == d.centre.shape == (2, 5, 3)
    np.testing.assert_array_equal(d.centre[1], loc)
    assert np.unique(np.asarray(z)[..., 0]).size == 70  # no two share their noise
    np.testing.assert_allclose(log_prob(d, z), d.log_prob(z), rtol=1e-5, atol=1e-5)
    same = VonMisesFisher(loc, jnp.full(5, 5.0))
    rows = jax.jit(jax.vmap(lambda d, key: d.sample(key, (7,))))(same, jax.random.split(jax.random.key(1), 5))
    assert rows.shape == (5, 7, 3)

    def numbers(d, z):
        return d.log_prob(z), d.entropy(), d.mean

    by_row = jax.jit(jax.vmap(numbers))(same, rows)
    log_probs, *rest = jax.jit(numbers)(same, np.swapaxes(rows, 0, 1))
    expected = log_probs.T, *rest
    jax.tree.map(lambda got, want: np.testing.assert_allclose(got, want, rtol=1e-5), by_row, expected)


def test_stopped_gradients_and_poles():
    def total(loc, kappa, stop):
        d = VonMisesFisher(loc, kappa)
        d = jax.tree.map(jax.lax.stop_gradient, d) if stop else d
        return jnp.sum(d.sample(jax.random.key(0), (50,)) ** 3)

    gradient = jax.jit(jax.grad(total, (0, 1)), static_argnums=2)
    for loc in np.concatenate([np.eye(3, dtype=np.float32), -np.eye(3, dtype=np.float32)]):
        for leaf in gradient(loc, 2.0, False):
            assert np.all(np.isfinite(leaf))
            assert np.any(leaf != 0)
        for leaf in gradient(loc, 2.0, True):
            np.testing.assert_array_equal(leaf, np.zeros_like(leaf))


def test_a_diverged_concentration_gives_nan_and_does_not_hang():
    d = VonMisesFisher(jnp.eye(3)[:2], jnp.array([jnp.nan, 1.0]), validate_args=False)
    z = np.asarray(jax.jit(lambda d: d.sample(jax.random.key(0), (4,)))(d))
    assert np.all(np.isnan(z[:, 0]))
    np.testing.assert_allclose(np.linalg.norm(z[:, 1], axis=-1), 1, rtol=1e-6)
