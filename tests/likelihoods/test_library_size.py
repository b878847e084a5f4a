"""Counts whose mean is the library size, in the context, times the shares of the decoder: values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from jaxvae import likelihoods, networks, posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.models import given, make_model

TOTAL = 1, 2.0, 0.5  # log of the library size = 2 + 0.5 c[1]
RNG = np.random.default_rng(0)
CONTEXT = RNG.normal(size=(4, 3)).astype(np.float32)
SIZE = np.exp(2.0 + 0.5 * CONTEXT[:, 1].astype(np.float64))[:, None]
X = RNG.poisson(2.0, (4, 6)).astype(np.float32)
OUTPUTS = RNG.normal(size=(4, 6)).astype(np.float32)
SHARES = special.softmax(OUTPUTS.astype(np.float64), axis=1)
MEAN, R = SIZE * SHARES, np.exp(RNG.normal(size=6))


def terms(likelihood, params):
    """Return log p(x), and its gradients by the outputs and the context, `[4]`, `[4, 6]` and `[4, 3]`."""

    def total(outputs, context):
        log_prob = likelihood.build(params, outputs, context).log_prob(X).sum(axis=-1)
        return log_prob.sum(), log_prob

    gradients, log_prob = jax.grad(total, (0, 1), has_aux=True)(jnp.asarray(OUTPUTS), jnp.asarray(CONTEXT))
    return log_prob, *gradients


def by_log_mean(gradient):
    """Chain the gradients by log m: log m_d = log size + log softmax(outputs)_d."""
    of_size = gradient.sum(axis=1, keepdims=True)
    return gradient - SHARES * of_size, 0.5 * of_size[:, 0]


def test_poisson_values_and_gradients_are_those_of_the_formula():
    log_prob, by_outputs, by_context = terms(likelihoods.poisson("shares", TOTAL), {})
    np.testing.assert_allclose(log_prob, stats.poisson(MEAN).logpmf(X).sum(axis=1), rtol=1e-5)
    outputs, context = by_log_mean(X - MEAN)
    np.testing.assert_allclose(by_outputs, outputs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(by_context[:, 1], context, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(by_context[:, [0, 2]], 0)


def test_negative_binomial_values_and_gradients_are_those_of_the_formula():
    likelihood = likelihoods.negative_binomial((6,), "shares", total=TOTAL)
    log_prob, by_outputs, by_context = terms(likelihood, {"log_concentration": jnp.log(jnp.asarray(R, jnp.float32))})
    np.testing.assert_allclose(log_prob, stats.nbinom(R, R / (R + MEAN)).logpmf(X).sum(axis=1), rtol=1e-4)
    outputs, context = by_log_mean(X - (X + R) * MEAN / (R + MEAN))
    np.testing.assert_allclose(by_outputs, outputs, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(by_context[:, 1], context, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("context_to", [("encoder", "decoder"), ("encoder",)])
def test_decoded_means_sum_to_the_library_size(context_to):
    likelihood = likelihoods.negative_binomial((6,), "shares", zero_inflated=False, total=TOTAL)
    parts = posteriors.diagonal_gaussian(2), priors.standard_normal(2), likelihood, networks.mlp((4,))
    model = make_model(*parts, data_shape=(6,), context_dim=3, context_to=context_to)
    params, z = model.init(jax.random.key(0)), RNG.normal(size=(5, 4, 2)).astype(np.float32)
    sums = model.decode(params, z, CONTEXT).mean.sum(axis=-1)
    np.testing.assert_allclose(sums, np.broadcast_to(SIZE[:, 0], (5, 4)), rtol=1e-5)
    one = given(model, CONTEXT[2]).decode(params, z).mean.sum(axis=-1)
    np.testing.assert_allclose(one, SIZE[2, 0], rtol=1e-5)
    with pytest.raises(UserError, match="conditional on a context of 3 values"):
        model.decode(params, z)


def test_shares_without_a_library_size_are_refused():
    for build in (likelihoods.poisson, lambda link: likelihoods.negative_binomial((6,), link)):
        with pytest.raises(UserError, match=r"total count of each example: set data\.context to 'total'"):
            build("shares")
