"""The KL to a mixture with its component as a latent: integrals in one dimension, its best posterior, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp, softmax
from scipy.stats import norm

from jaxvae import losses

RNG = np.random.default_rng(0)
B, C = 4, 3
MEAN, LOGVAR = RNG.normal(size=(B, 1)), RNG.normal(size=(B, 1)) - 1
MEANS, LOGVARS, PRIOR = 2 * RNG.normal(size=(C, 1)), 0.5 * RNG.normal(size=(C, 1)), RNG.normal(size=C)
CLASSES = RNG.normal(size=(B, C))
Z = np.linspace(-12, 12, 20_001)
STEP = Z[1] - Z[0]


def integrals(mean, logvar, means, logvars, classes, prior):
    """sum_c integral q(z) q(c) log(q(z) q(c) / (p(z|c) p(c))) and KL(q(z) || p(z)), of one example, by the grid."""
    log_q = norm.logpdf(Z, mean, np.exp(0.5 * logvar))
    joint = norm.logpdf(Z, means, np.exp(0.5 * logvars)) + np.log(softmax(prior))[:, None]
    q_c = softmax(classes)
    whole = sum(
        q_c[c] * np.sum(np.exp(log_q) * (log_q + np.log(q_c[c]) - joint[c])) * STEP for c in range(len(q_c))
    )  # fmt: skip
    return whole, np.sum(np.exp(log_q) * (log_q - logsumexp(joint, axis=0))) * STEP


def in_float32(*arrays):
    return [jnp.asarray(array, jnp.float32) for array in arrays]


def total(mean, logvar, means, logvars, classes, prior) -> jax.Array:
    kls = losses.kl_gaussian_components(mean, logvar, means, logvars)
    found = losses.mixture_kl(kls, classes, prior)
    return found.components + found.classes


ARGS = MEAN, LOGVAR, MEANS, LOGVARS, CLASSES, PRIOR


def test_both_terms_are_the_integral_over_z_and_the_sum_over_c_and_bound_the_kl_to_the_mixture():
    found = np.asarray(total(*in_float32(*ARGS)))
    for i, value in enumerate(found):
        whole, marginal = integrals(MEAN[i], LOGVAR[i], MEANS, LOGVARS, CLASSES[i], PRIOR)
        np.testing.assert_allclose(value, whole, rtol=1e-5)
        assert value > marginal + 0.01


def test_gradients_are_those_of_the_integral():
    found = jax.grad(lambda *args: jnp.sum(total(*args)), tuple(range(6)))(*in_float32(*ARGS))

    def whole(*args):
        mean, logvar, means, logvars, classes, prior = args
        return sum(integrals(mean[i], logvar[i], means, logvars, classes[i], prior)[0] for i in range(B))

    for i, (array, gradient) in enumerate(zip(ARGS, found, strict=True)):
        direction = np.random.default_rng(i).normal(size=array.shape)
        ends = [whole(*ARGS[:i], array + h * direction, *ARGS[i + 1 :]) for h in (-1e-4, 1e-4)]
        np.testing.assert_allclose(np.vdot(gradient, direction), (ends[1] - ends[0]) / 2e-4, rtol=1e-4, atol=1e-4)


def test_the_best_posterior_of_the_component_is_proportional_to_its_prior_and_the_exponential_of_minus_its_kl():
    mean, logvar, means, logvars, _, prior = in_float32(*ARGS)
    kls = losses.kl_gaussian_components(mean, logvar, means, logvars)
    best = jax.nn.log_softmax(prior) - kls
    value, gradient = jax.value_and_grad(lambda logits: jnp.sum(jnp.stack(losses.mixture_kl(kls, logits, prior))))(best)
    np.testing.assert_allclose(value, -jnp.sum(jax.nn.logsumexp(best, axis=1)), rtol=1e-5)
    np.testing.assert_allclose(gradient, 0, atol=1e-5)


def test_the_order_of_components_changes_nothing_and_each_example_may_have_its_own():
    mean, logvar, means, logvars, classes, prior = in_float32(*ARGS)
    order = np.array([2, 0, 1])
    expected = total(mean, logvar, means, logvars, classes, prior)
    permuted = total(mean, logvar, means[order], logvars[order], classes[:, order], prior[order])
    np.testing.assert_allclose(permuted, expected, rtol=1e-5)
    own_means, own_logvars, own_prior = (
        jnp.broadcast_to(array, (B, *array.shape)) for array in (means, logvars, prior)
    )
    own = total(mean, logvar, own_means, own_logvars, classes, own_prior)
    np.testing.assert_allclose(own, expected, rtol=1e-6)


def test_one_component_is_the_kl_of_two_gaussians_without_a_term_of_classes():
    mean, logvar, means, logvars, _, _ = in_float32(*ARGS)
    kls = losses.kl_gaussian_components(mean, logvar, means[:1], logvars[:1])
    found = losses.mixture_kl(kls, jnp.zeros((B, 1)), jnp.zeros(1))
    beside = (jnp.broadcast_to(array[0], mean.shape) for array in (means, logvars))
    np.testing.assert_allclose(found.components, losses.kl_diagonal_gaussians(mean, logvar, *beside), rtol=1e-6)
    np.testing.assert_array_equal(found.classes, 0)
