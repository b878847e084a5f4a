"""The losses against SciPy, NumPyro, numerical integration and closed forms; references are in float64."""

import subprocess
import sys
from itertools import pairwise

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import numpyro.distributions as dist
import pytest
from jax.test_util import check_grads
from scipy import integrate, special, stats

from jaxvae import losses

pytestmark = pytest.mark.usefixtures("strict_ranks")
RNG = np.random.default_rng(0)
SHAPE = (3, 4, 2)  # batch first
EPS, TINY = np.finfo(np.float32).eps, np.finfo(np.float32).tiny  # below TINY XLA flushes to zero


def normal(scale=1.0):
    return (scale * RNG.normal(size=SHAPE)).astype(np.float32)


def kl_reference(mean_q, logvar_q, mean_p=0.0, logvar_p=0.0):
    ratio = np.exp(logvar_q - logvar_p)
    return 0.5 * ((mean_q - mean_p) ** 2 / np.exp(logvar_p) + ratio - 1 - np.log(ratio))


def bernoulli_reference(logits, x):
    return -x * special.log_expit(logits) - (1 - x) * special.log_expit(-logits)


GREY = RNG.uniform(size=SHAPE).astype(np.float32)
BINARY = (GREY > 0.5).astype(np.float32)
# The loss, its arguments, and its elementwise reference.
CASES = {
    "bernoulli, binary": (losses.bernoulli_cross_entropy, (normal(3), BINARY), bernoulli_reference),
    "bernoulli, grey": (losses.bernoulli_cross_entropy, (normal(3), GREY), bernoulli_reference),
    "squared error": (losses.squared_error, (normal(), normal()), lambda mean, x: (x - mean) ** 2),
    "kl to standard normal": (losses.kl_standard_normal, (normal(), normal()), kl_reference),
    "kl of two": (losses.kl_diagonal_gaussians, (normal(), normal(), normal(), normal()), kl_reference),
} | {
    f"gaussian, variance {v}": (
        lambda mean, x, v=v: losses.gaussian_nll(mean, x, v),
        (normal(), normal()),
        lambda mean, x, v=v: -stats.norm.logpdf(x, mean, v**0.5),
    )
    for v in (1.0, 0.01, 7)
}
every_loss = pytest.mark.parametrize(("loss", "args", "reference"), CASES.values(), ids=CASES.keys())


def expected(reference, args):
    return reference(*(np.asarray(a, np.float64) for a in args)).reshape(SHAPE[0], -1).sum(axis=1)


@every_loss
def test_value_equals_the_reference_summed_per_example(loss, args, reference):
    value = loss(*args)
    assert value.shape == SHAPE[:1]
    np.testing.assert_allclose(value, expected(reference, args), rtol=2e-6)
    np.testing.assert_allclose(jax.jit(loss)(*args), value, rtol=2e-6)


@every_loss
def test_float64_value_and_derivatives(loss, args, reference):
    with jax.enable_x64(True):
        args = [a.astype(np.float64) for a in args]
        np.testing.assert_allclose(loss(*args), expected(reference, args), rtol=1e-12)
        check_grads(loss, args, order=2, modes=("fwd", "rev"), atol=1e-6, rtol=1e-6)


@every_loss
def test_vmap_over_samples_is_one_call_per_sample(loss, args, reference):
    samples = np.stack([args[0], 2 * args[0], args[0] - 1])
    many = jax.jit(jax.vmap(loss, in_axes=(0, *[None] * (len(args) - 1))))(samples, *args[1:])
    np.testing.assert_allclose(many, np.stack([loss(s, *args[1:]) for s in samples]), rtol=2e-6)


@every_loss
def test_gradient_of_one_example_stays_within_it(loss, args, reference):
    gradient = np.asarray(jax.grad(lambda first: loss(first, *args[1:])[1])(args[0]))
    assert np.all(gradient[1] != 0)
    assert not gradient[[0, 2]].any()


PAIR_LOSSES = losses.bernoulli_cross_entropy, losses.gaussian_nll, losses.squared_error, losses.kl_standard_normal


def gaussian_nll_of_ones(variance):
    return losses.gaussian_nll(jnp.ones((3, 4)), jnp.ones((3, 4)), variance)


@pytest.mark.parametrize(
    ("loss", "shapes"),
    [(loss, shapes) for loss in PAIR_LOSSES for shapes in ([(3, 4), (3, 1)], [(3, 1), (3,)], [(1, 4), (3, 4)])]
    + [(losses.kl_diagonal_gaussians, [(3, 4)] * 3 + [shape]) for shape in ((3, 1), (4,), (1, 4))]
    + [(gaussian_nll_of_ones, [shape]) for shape in ((3, 1), (1, 4), (4,), (1,))]
    + [(losses.elbo, [first, kl]) for first, kl in (((3,), (3, 1)), ((5, 3), (1,)), ((3, 5), (3,)), ((2, 5, 3), (3,)))]
    + [(losses.iwae_bound, [shape]) for shape in ((3,), (2, 3, 4))],
)
def test_shapes_that_would_broadcast_are_refused(loss, shapes):
    with pytest.raises(AssertionError):
        loss(*map(jnp.ones, shapes))


def test_softplus_and_its_derivatives_at_any_size():
    x = np.array([-1e4, -100, -20, -1, -1e-3, 0, 1e-3, 1, 20, 100, 1e4])
    p, first = special.expit(x), jax.grad(losses.softplus)
    for function, reference, atol in (
        (losses.softplus, np.logaddexp(0, x), TINY),
        (first, p, TINY),
        (jax.grad(first), p * special.expit(-x), EPS),
    ):
        np.testing.assert_allclose(jax.vmap(function)(x.astype(np.float32)), reference, rtol=2e-6, atol=atol)


@pytest.mark.parametrize("x", [0.0, 0.3, 1.0])
def test_bernoulli_is_finite_at_extreme_logits(x):
    logits = np.array([-1e4, -100.0, 100.0, 1e4], np.float32)
    pixels = np.full(4, x, np.float32)
    gradient = jax.grad(lambda logits: losses.bernoulli_cross_entropy(logits, pixels).sum())(logits)
    value = losses.bernoulli_cross_entropy(logits, pixels)
    exact = logits.astype(np.float64)
    np.testing.assert_allclose(value, bernoulli_reference(exact, np.float64(pixels)), rtol=2e-6, atol=TINY)
    np.testing.assert_allclose(gradient, special.expit(exact) - pixels, rtol=2e-6, atol=TINY)


KL_ARGS = [(0.0, 0.0, 0.0, 0.0), (1.5, -2.0, 0.0, 0.0), (-0.3, 1.0, 0.7, -0.5), (0.0, -3.0, 2.0, 0.5)]


def kl_of_scalars(*args):
    return float(losses.kl_diagonal_gaussians(*(jnp.full((1, 1), a) for a in args))[0])


@pytest.mark.parametrize("args", KL_ARGS)
def test_kl_is_the_integral_that_defines_it(args):
    q, p = stats.norm(args[0], np.exp(args[1] / 2)), stats.norm(args[2], np.exp(args[3] / 2))
    integral, _ = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), *q.interval(1 - 1e-14))
    assert kl_of_scalars(*args) == pytest.approx(integral, rel=2e-6, abs=1e-9)


@pytest.mark.parametrize("args", KL_ARGS[1:])
def test_kl_is_the_mean_of_the_log_ratio(args, assert_mean):
    q, p = stats.norm(args[0], np.exp(args[1] / 2)), stats.norm(args[2], np.exp(args[3] / 2))
    z = q.rvs(100_000, random_state=0)
    assert_mean(q.logpdf(z) - p.logpdf(z), kl_of_scalars(*args))


def test_kl_agrees_with_numpyro():
    mean_q, logvar_q, mean_p, logvar_p = args = CASES["kl of two"][1]
    with jax.numpy_rank_promotion("allow"):
        q, p = (dist.Normal(m, np.exp(v / 2)).to_event(2) for m, v in ((mean_q, logvar_q), (mean_p, logvar_p)))
        np.testing.assert_allclose(losses.kl_diagonal_gaussians(*args), dist.kl_divergence(q, p), rtol=1e-5)


def test_kl_of_two_is_zero_at_equality_and_contains_the_standard_one():
    mean, logvar = normal(), normal()
    zero = np.zeros_like(mean)
    np.testing.assert_array_equal(losses.kl_diagonal_gaussians(mean, logvar, mean, logvar), 0)
    np.testing.assert_array_equal(
        losses.kl_diagonal_gaussians(mean, logvar, zero, zero), losses.kl_standard_normal(mean, logvar)
    )


@pytest.mark.parametrize("logvar", [0.1, -0.1, 1e-2, -1e-2, 1e-3, -1e-3])
def test_kl_near_the_prior_errs_by_an_ulp_of_logvar_not_of_one(logvar):
    got = losses.kl_standard_normal(jnp.zeros((1, 1)), jnp.full((1, 1), logvar))[0]
    logvar = np.float64(np.float32(logvar))
    assert abs(float(got) - 0.5 * (np.expm1(logvar) - logvar)) < EPS * abs(logvar)


def test_elbo_averages_samples_and_weighs_the_kl():
    log_likelihood, kl = RNG.normal(size=(5, 3)).astype(np.float32), RNG.uniform(size=3).astype(np.float32)
    np.testing.assert_allclose(losses.elbo(log_likelihood, kl), log_likelihood.mean(axis=0) - kl, rtol=1e-5)
    np.testing.assert_allclose(losses.elbo(log_likelihood[0], kl), log_likelihood[0] - kl, rtol=1e-5)
    for beta in (0.0, 4.0, jnp.float32(0.5)):
        reference = log_likelihood.mean(axis=0) - float(beta) * kl
        np.testing.assert_allclose(jax.jit(losses.beta_elbo)(log_likelihood, kl, beta), reference, rtol=1e-5)


def test_iwae_is_the_log_of_the_mean_weight():
    log_weights = (10 * RNG.normal(size=(50, 3)) - 500).astype(np.float32)  # far below what exp holds in float32
    reference = special.logsumexp(log_weights.astype(np.float64), axis=0) - np.log(50)
    np.testing.assert_allclose(losses.iwae_bound(log_weights), reference, rtol=1e-6)
    np.testing.assert_array_equal(losses.iwae_bound(log_weights[:1]), log_weights[0])
    np.testing.assert_allclose(losses.iwae_bound(log_weights + 600), losses.iwae_bound(log_weights) + 600, rtol=1e-5)
    gradient = jax.grad(lambda log_weights: losses.iwae_bound(log_weights).sum())(log_weights)
    np.testing.assert_allclose(gradient, special.softmax(np.float64(log_weights), axis=0), rtol=1e-4, atol=1e-9)


def test_iwae_rises_with_the_number_of_samples():
    @jax.jit
    def mean_bounds(key):  # for each K over the same samples, for a paired comparison
        out = lg.MODEL.forward(lg.params(0.5, 0.5), key, {"x": lg.X}, 64 * 200)
        weights = out.log_likelihood + out.log_prior - out.log_posterior
        blocks = (weights.reshape(200, -1, k, lg.BATCH) for k in (1, 4, 16, 64))
        return [jax.vmap(jax.vmap(losses.iwae_bound))(block).mean(axis=1) for block in blocks]

    with jax.numpy_rank_promotion("allow"):
        bounds = [np.asarray(bound, np.float64) for bound in mean_bounds(jax.random.key(0))]
    for lower, higher in pairwise(bounds):
        rise = higher - lower
        assert np.all(rise.mean(axis=0) > 4 * rise.std(axis=0, ddof=1) / np.sqrt(200))


def test_losses_need_neither_flax_nor_numpyro():
    code = "import sys, jaxvae.losses; print([m for m in ('flax', 'numpyro', 'optax', 'orbax') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
