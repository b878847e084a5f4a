"""The contract of every likelihood; those of continuous values against SciPy and integrals."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy import integrate, stats

from jaxvae import likelihoods
from jaxvae.common.errors import UserError
from jaxvae.distributions.continuous import ContinuousBernoulli, LogCosh, OptimalGaussian, inverse_cdf
from jaxvae.distributions.pixels import Shaped
from jaxvae.distributions.ssim import MsSsim
from jaxvae.losses import ms_ssim
from jaxvae.losses.bernoulli import log_normalizer
from jaxvae.losses.residuals import MIN_VARIANCE

RNG = np.random.default_rng(0)
LEVELS, IMAGE, UNIT = 16, (12, 12, 1), (0.0, 1.0)
CASES = {
    "bernoulli": lambda: likelihoods.bernoulli(),
    "continuous_bernoulli": lambda: likelihoods.continuous_bernoulli(),
    "gaussian": lambda: likelihoods.gaussian("sigmoid", 0.1),
    "gaussian_shared": lambda: likelihoods.gaussian("sigmoid", 0.1, "shared"),
    "gaussian_pixel": lambda: likelihoods.gaussian("tanh", 0.1, "pixel"),
    "gaussian_optimal": lambda: likelihoods.gaussian("identity", 1.0, "optimal"),
    "laplace": lambda: likelihoods.laplace("identity", 0.3),
    "laplace_shared": lambda: likelihoods.laplace("identity", 0.3, "shared"),
    "squared_error": lambda: likelihoods.squared_error(),
    "log_cosh": lambda: likelihoods.log_cosh(),
    "ms_ssim": lambda: likelihoods.ms_ssim(IMAGE, UNIT, "sigmoid"),
    "categorical": lambda: likelihoods.categorical(LEVELS, UNIT),
    "discretized_logistic": lambda: likelihoods.discretized_logistic(LEVELS, UNIT),
    "discretized_logistic_mixture": lambda: likelihoods.discretized_logistic_mixture(LEVELS, UNIT, 3),
    "poisson": lambda: likelihoods.poisson(),
    "poisson_softplus": lambda: likelihoods.poisson("softplus"),
    "negative_binomial": lambda: likelihoods.negative_binomial(IMAGE),
    "zero_inflated": lambda: likelihoods.negative_binomial(IMAGE, "softplus", zero_inflated=True),
}
LOSSES = {"gaussian_optimal", "squared_error", "log_cosh", "ms_ssim"}
MASSES = {"bernoulli", "categorical", "discretized_logistic", "discretized_logistic_mixture", "poisson"}
MASSES |= {"poisson_softplus", "negative_binomial", "zero_inflated"}


@pytest.mark.parametrize("name", CASES)
def test_every_likelihood_keeps_the_contract(name):
    likelihood = CASES[name]()
    assert likelihood.is_density == (name not in LOSSES)
    assert likelihood.is_discrete == (name in MASSES)
    per_value = likelihood.outputs_per_value
    params = likelihood.init(jax.random.key(0))
    x = RNG.integers(0, 2, (2, *IMAGE)).astype(np.float32)
    outputs = RNG.normal(size=(3, 2, 144, *(() if per_value == 1 else (per_value,)))).astype(np.float32)

    def build(params, outputs):
        return Shaped(likelihood.build(params, outputs), IMAGE)

    @jax.jit
    def run(params, outputs):
        built, rows = build(params, outputs), jax.vmap(build, (None, 0))(params, outputs)
        return built, built.mean, built.log_prob(x), jax.vmap(lambda d: d.log_prob(x))(rows)

    built, mean, log_prob, by_row = run(params, outputs)  # pytrees
    assert (built.batch_shape, built.event_shape) == ((3, 2), IMAGE)
    assert mean.shape == (3, 2, *IMAGE)
    assert jax.eval_shape(lambda key: built.sample(key, (2,)), jax.random.key(1)).shape == (2, 3, 2, *IMAGE)
    assert log_prob.shape == (3, 2)
    assert built.support.event_dim == 3
    np.testing.assert_allclose(by_row, log_prob, rtol=1e-5)
    low, high = likelihood.support or (-np.inf, np.inf)
    assert np.all((mean >= low) & (mean <= high))


@pytest.mark.parametrize("name", CASES)
def test_gradients_of_every_likelihood_are_finite_at_extreme_outputs(name):
    likelihood = CASES[name]()
    params = likelihood.init(jax.random.key(0))
    per_value = likelihood.outputs_per_value
    x = jnp.asarray(RNG.integers(0, 2, IMAGE), jnp.float32)

    def log_prob(params, size):
        outputs = jnp.full((144, *(() if per_value == 1 else (per_value,))), size)
        return Shaped(likelihood.build(params, outputs), IMAGE).log_prob(x)

    sizes = jnp.float32([0.0, 100.0, -100.0])
    gradients = jax.jit(jax.vmap(jax.value_and_grad(log_prob, (0, 1)), (None, 0)))(params, sizes)
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradients))


LOGITS = [0.0, 1e-4, -1e-4, 1e-2, 0.049, 0.051, -0.499, 0.501, 3.0, -3.0, 30.0, -30.0]


def continuous_bernoulli_moments(logits):
    """The integral of e^(l x), as a logarithm, and the mean; the larger end of the exponential is taken out."""
    end = max(logits, 0.0)
    total, _ = integrate.quad(lambda x: np.exp(logits * x - end), 0, 1, limit=200)
    first, _ = integrate.quad(lambda x: x * np.exp(logits * x - end), 0, 1, limit=200)
    return np.log(total) + end, first / total


def test_continuous_bernoulli_normaliser_is_the_integral():
    @jax.jit
    def run(logits):
        distribution = ContinuousBernoulli(logits)
        slope = jax.vmap(jax.grad(log_normalizer))(logits)
        return log_normalizer(logits), slope, distribution.mean, distribution.log_prob(0.3)

    value, slope, got_mean, log_prob = run(jnp.float32(LOGITS))
    log_total, mean = np.array([continuous_bernoulli_moments(float(np.float32(a))) for a in LOGITS]).T
    np.testing.assert_allclose(value, log_total, rtol=2e-6, atol=2e-7)
    np.testing.assert_allclose(slope, mean, rtol=5e-6)
    np.testing.assert_allclose(got_mean, mean, rtol=5e-6)
    np.testing.assert_allclose(log_prob, 0.3 * np.array(LOGITS) - log_total, rtol=1e-5, atol=1e-6)


def test_continuous_bernoulli_samples_by_the_inverse_of_its_distribution_function():
    u, logits = np.linspace(0.001, 0.999, 101), np.array(LOGITS)[:, None]
    with jax.enable_x64(True):
        x = np.asarray(inverse_cdf(logits, u))
        check_grads(jax.jit(lambda a: inverse_cdf(a, u)), [logits], order=1, modes=["rev"], rtol=1e-5)
    cdf = np.where(logits == 0, x, np.expm1(logits * x) / np.expm1(np.where(logits == 0, 1, logits)))
    np.testing.assert_allclose(cdf, u * np.ones_like(x), rtol=1e-7)
    got = inverse_cdf(jnp.asarray(logits, jnp.float32), u.astype(np.float32))
    np.testing.assert_allclose(got, x, rtol=1e-4, atol=2e-6)


def test_continuous_bernoulli_samples_what_it_scores(assert_mean):
    logits = np.array([0.0, 0.02, -1.5, 4.0, -30.0, 100.0])

    @jax.jit
    def run(logits, key):
        distribution = ContinuousBernoulli(logits)
        draw, pullback = jax.vjp(lambda a: ContinuousBernoulli(a).sample(key, (20_000,)), logits)
        pathwise = pullback(jnp.full_like(draw, 1 / 20_000))[0]
        return draw, distribution.log_prob(draw), distribution.variance, pathwise

    samples, log_prob, variance, pathwise = run(jnp.asarray(logits, jnp.float32), jax.random.key(0))
    assert np.all((samples >= 0) & (samples <= 1))
    log_total, mean = np.array([continuous_bernoulli_moments(a) for a in logits]).T
    assert_mean(samples, mean)
    assert_mean((samples - mean) ** 2, variance)
    assert_mean(log_prob[:, 1:], (logits * mean - log_total)[1:])  # constant for logits 0
    np.testing.assert_allclose(pathwise, variance, rtol=0.05)  # d mean / d logits


def test_log_cosh_is_its_formula_and_safe_far_away():
    loc, x = RNG.normal(size=50), RNG.normal(size=50)
    got = LogCosh(jnp.asarray(loc, jnp.float32), 10.0).log_prob(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(got, -np.log(np.cosh(10 * (x - loc))) / 10, rtol=1e-5, atol=1e-6)
    value, slope = jax.value_and_grad(lambda a: LogCosh(a, 10.0).log_prob(jnp.float32(1e3)))(jnp.float32(0.0))
    assert float(value) == pytest.approx(-1e3 + math.log(2) / 10)
    assert float(slope) == pytest.approx(1)
    assert float(jax.grad(lambda a: LogCosh(a, 10.0).log_prob(0.5))(jnp.float32(0.5))) == 0


def test_optimal_gaussian_is_the_best_of_all_variances():
    loc, x = RNG.normal(size=(3, 20)), RNG.normal(size=(3, 20))
    got = OptimalGaussian(jnp.asarray(loc, jnp.float32)).log_prob(jnp.asarray(x, jnp.float32))
    variances = np.geomspace(0.1, 10, 4001)
    by_variance = stats.norm.logpdf(x, loc, np.sqrt(variances)[:, None, None]).sum(axis=-1)
    np.testing.assert_allclose(got, by_variance.max(axis=0), rtol=1e-5)
    mse = ((x - loc) ** 2).mean(axis=-1)
    np.testing.assert_allclose(got, -10 * (np.log(2 * np.pi * mse) + 1), rtol=1e-5)


@pytest.mark.parametrize("residual", [0.0, 1e-4, 1e3])
def test_optimal_gaussian_is_finite_for_any_residual(residual):
    x = jnp.zeros(20)
    value, slope = jax.value_and_grad(lambda loc: OptimalGaussian(loc).log_prob(x))(jnp.full(20, residual))
    variance = max(residual**2, MIN_VARIANCE)
    assert float(value) == pytest.approx(stats.norm.logpdf(residual, 0, variance**0.5) * 20, rel=1e-5)
    np.testing.assert_allclose(slope, -residual / variance * np.ones(20), rtol=1e-4)


def test_learned_scales_are_scipys():
    x, outputs = RNG.normal(size=(2, 5)), RNG.normal(size=(2, 5, 2)).astype(np.float32)
    shared = likelihoods.gaussian("tanh", 0.25, "shared")
    start = shared.init(jax.random.key(0))
    mean = np.tanh(outputs[..., 0].astype(float))
    got = shared.build(start, outputs[..., 0]).log_prob(x.astype(np.float32))
    np.testing.assert_allclose(got, stats.norm.logpdf(x, mean, 0.5), rtol=1e-4, atol=1e-5)
    got = shared.build({"log_variance": jnp.float32(1.3)}, outputs[..., 0]).log_prob(x.astype(np.float32))
    np.testing.assert_allclose(got, stats.norm.logpdf(x, mean, np.exp(0.65)), rtol=1e-4, atol=1e-5)
    got = likelihoods.gaussian("tanh", 0.25, "pixel").build({}, outputs).log_prob(x.astype(np.float32))
    np.testing.assert_allclose(got, stats.norm.logpdf(x, mean, 0.5 * np.exp(outputs[..., 1] / 2)), rtol=1e-3, atol=1e-4)
    got = likelihoods.laplace("tanh", 0.4).build({}, outputs[..., 0]).log_prob(x.astype(np.float32))
    np.testing.assert_allclose(got, stats.laplace.logpdf(x, mean, 0.4), rtol=1e-4, atol=1e-5)
    learned = likelihoods.laplace("tanh", 0.4, "shared")
    assert learned.build(learned.init(jax.random.key(0)), outputs[..., 0]).scale == pytest.approx(0.4, rel=0.01)
    got = learned.build({"log_scale": jnp.float32(0.5)}, outputs[..., 0]).log_prob(x.astype(np.float32))
    np.testing.assert_allclose(got, stats.laplace.logpdf(x, mean, np.exp(0.5)), rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("kind", ["shared", "pixel"])
def test_a_learned_variance_has_a_floor(kind):
    likelihood = likelihoods.gaussian(learn=kind)
    low = jnp.float32(-100.0)
    outputs = jnp.zeros(3) if kind == "shared" else jnp.stack([jnp.zeros(3), jnp.full(3, low)], axis=-1)
    np.testing.assert_allclose(likelihood.build({"log_variance": low}, outputs).variance, MIN_VARIANCE, rtol=1e-4)


def test_ms_ssim_of_a_shifted_range_is_that_of_the_unit_range():
    x, y = RNG.uniform(size=(2, 64)).astype(np.float32)
    unit, signed = MsSsim(y, (8, 8, 1), 0.0, 1.0, 3.0), MsSsim(2 * y - 1, (8, 8, 1), -1.0, 1.0, 3.0)
    np.testing.assert_allclose(jax.jit(signed.log_prob)(2 * x - 1), unit.log_prob(x), rtol=1e-4)
    np.testing.assert_allclose(unit.log_prob(x), 3 * (ms_ssim(x.reshape(8, 8, 1), y.reshape(8, 8, 1)) - 1), rtol=1e-5)


@pytest.mark.parametrize(
    ("build", "message"),
    [(lambda: likelihoods.gaussian(learn="pixels"), "Did you mean 'pixel'"),
     (lambda: likelihoods.laplace(learn="pixel"), "Known: none, shared"),
     (lambda: likelihoods.laplace(scale=0.0), "scale=0.0; it must be above 0"),
     (lambda: likelihoods.laplace("sigmiod"), "Did you mean 'sigmoid'"),
     (lambda: likelihoods.log_cosh(a=math.nan), "a=nan"),
     (lambda: likelihoods.log_cosh("tan"), "Did you mean 'tanh'"),
     (lambda: likelihoods.categorical(1, UNIT), "levels=1"),
     (lambda: likelihoods.categorical(4, (1.0, 1.0)), "pixel_range"),
     (lambda: likelihoods.discretized_logistic(0, UNIT), "levels=0"),
     (lambda: likelihoods.discretized_logistic_mixture(1, UNIT), "levels=1"),
     (lambda: likelihoods.discretized_logistic_mixture(4, UNIT, 0), "components=0"),
     (lambda: likelihoods.poisson("log"), "Known: exp, shares, softplus"),
     (lambda: likelihoods.negative_binomial((3,), "expp"), "Did you mean 'exp'"),
     (lambda: likelihoods.ms_ssim((784,), UNIT), r"shape \[784\]"),
     (lambda: likelihoods.ms_ssim((2, 28, 1), UNIT), "at least 3 x 3"),
     (lambda: likelihoods.ms_ssim(IMAGE, (1.0, 0.0)), "pixel_range"),
     (lambda: likelihoods.ms_ssim(IMAGE, UNIT, weight=-1.0), "weight=-1.0"),
     (lambda: likelihoods.ms_ssim(IMAGE, UNIT, "sigmiod"), "Did you mean 'sigmoid'")],
)  # fmt: skip
def test_bad_options_are_refused(build, message):
    with pytest.raises(UserError, match=message):
        build()
