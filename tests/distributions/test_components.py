"""Components of mixtures: Bayes by hand, closed-form KLs, draws, and the mixture whose components depend on w."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy.special import softmax
from scipy.stats import multivariate_normal

from jaxvae import losses
from jaxvae.common.errors import UserError
from jaxvae.distributions import NestedMixture
from jaxvae.distributions.components import (
    component_draws,
    component_kls,
    component_log_probs,
    component_logits,
    num_components,
)
from jaxvae.distributions.gaussian import FullNormal
from jaxvae.networks import MLP, Pure

RNG = np.random.default_rng(0)
C, D, B = 3, 2, 4
MEANS, LOGVARS, LOGITS = (RNG.normal(size=shape).astype(np.float32) for shape in ((C, D), (C, D), (C,)))
MIXTURE = dist.MixtureSameFamily(
    dist.Categorical(logits=jnp.asarray(LOGITS)), dist.Normal(MEANS, np.exp(0.5 * LOGVARS)).to_event(1)
)
LOC, LOGVAR = (RNG.normal(size=(B, D)).astype(np.float32) for _ in range(2))
Q = dist.Normal(LOC, np.exp(0.5 * LOGVAR)).to_event(1)
NET = Pure(MLP((1,), (5,), (C, 2, 1), jnp.tanh, 1.0, 1.0))
NESTED = NestedMixture(
    NET,
    {
        "network": NET.init(jax.random.key(0), jnp.zeros(1)),
        "mean": jnp.asarray([[-1.0], [0.5], [2.0]]),
        "logvar": jnp.asarray([[0.0], [-0.5], [0.3]]),
    },
    1,
)


def test_only_a_mixture_has_components():
    assert [num_components(each) for each in (MIXTURE, NESTED, Q)] == [C, C, 0]


def test_the_posterior_of_the_component_is_bayes_rule():
    z = RNG.normal(size=(5, B, D)).astype(np.float32)
    found = component_log_probs(MIXTURE, jnp.asarray(z))
    densities = [multivariate_normal(MEANS[c], np.diag(np.exp(LOGVARS[c])).tolist()).pdf(z) for c in range(C)]
    joint = softmax(LOGITS) * np.stack(densities, axis=-1)
    np.testing.assert_allclose(np.exp(found), joint, rtol=1e-4)
    np.testing.assert_allclose(jax.nn.softmax(found), joint / joint.sum(axis=-1, keepdims=True), rtol=1e-4)
    np.testing.assert_allclose(component_logits(MIXTURE), LOGITS)


def test_kls_to_components_are_the_closed_forms_also_at_a_context_and_with_full_covariance():
    z = jnp.zeros((1, B, D))
    expected = losses.kl_gaussian_components(*map(jnp.asarray, (LOC, LOGVAR, MEANS, LOGVARS)))
    np.testing.assert_allclose(component_kls(Q, MIXTURE, z), expected, rtol=1e-5)
    np.testing.assert_allclose(
        component_kls(FullNormal(LOC, scale_tril=jax.vmap(jnp.diag)(jnp.exp(0.5 * LOGVAR))), MIXTURE, z),
        expected,
        rtol=1e-5,
    )
    own = jnp.asarray(MEANS) + jnp.arange(B)[:, None, None]
    scales = jnp.broadcast_to(np.exp(0.5 * LOGVARS), own.shape)
    at_contexts = dist.MixtureSameFamily(
        dist.Categorical(logits=jnp.zeros((B, C))), dist.Normal(own, scales).to_event(1)
    )
    logvars = jnp.broadcast_to(LOGVARS, own.shape)
    expected = losses.kl_gaussian_components(jnp.asarray(LOC), jnp.asarray(LOGVAR), own, logvars)
    np.testing.assert_allclose(component_kls(Q, at_contexts, z), expected, rtol=1e-5)


def test_draws_of_a_component_are_its_own(assert_mean):
    draws = component_draws(MIXTURE, jax.random.key(1), 4000)
    assert draws.shape == (4000, C, D)
    assert_mean(draws, MEANS)
    assert_mean((draws - MEANS) ** 2, np.exp(LOGVARS))


def test_the_nested_mixture_is_a_density_and_its_components_add_up():
    grid = np.linspace(-9, 9, 361, dtype=np.float32)
    value = jnp.stack(jnp.meshgrid(grid, grid, indexing="ij"), axis=-1)
    components = np.asarray(component_log_probs(NESTED, value))
    area = (grid[1] - grid[0]) ** 2
    np.testing.assert_allclose(np.exp(components).sum(axis=(0, 1)) * area, 1 / C, rtol=1e-4)
    np.testing.assert_allclose(NESTED.log_prob(value), np.log(np.exp(components).sum(axis=-1)), rtol=1e-3, atol=1e-4)


def test_draws_of_the_nested_mixture_have_the_moments_of_its_density(assert_mean):
    grid = np.linspace(-9, 9, 361, dtype=np.float32)
    value = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1)
    density = np.exp(np.asarray(component_log_probs(NESTED, jnp.asarray(value)), np.float64))
    density *= (grid[1] - grid[0]) ** 2
    draws = NESTED.sample(jax.random.key(2), (20_000,))
    each = component_draws(NESTED, jax.random.key(3), 20_000)
    for of in (lambda v: v, lambda v: v**2, lambda v: v[..., :1] * v[..., 1:]):
        assert_mean(of(draws), np.einsum("ijc,ijd->d", density, of(value)))
        assert_mean(of(each), C * np.einsum("ijc,ijd->cd", density, of(value)))


def test_kls_of_the_nested_mixture_are_the_means_over_draws_at_their_w(assert_mean):
    value = jnp.broadcast_to(jnp.asarray(RNG.normal(size=(B, D)).astype(np.float32)), (1, B, D))
    found = component_kls(Q, NESTED, value)[0]
    z = Q.sample(jax.random.key(4), (20_000,))
    w_mean, w_var = LOC[:, 1], np.exp(LOGVAR[:, 1])
    of_w = 0.5 * (w_mean**2 + w_var - 1 - np.log(w_var))  # integrated in closed form
    at_w = jnp.stack([z[..., 0], jnp.broadcast_to(value[0, :, 1], z.shape[:-1])], axis=-1)
    given = component_log_probs(NESTED, at_w) - NESTED.noise.log_prob(at_w[..., 1:])[..., None] + np.log(C)
    log_q = dist.Normal(LOC[:, 0], np.exp(0.5 * LOGVAR[:, 0])).log_prob(z[..., 0])
    assert_mean(log_q[..., None] - given, found - of_w[:, None])


def test_the_nested_mixture_goes_through_jit_and_needs_independent_dimensions():
    z = jnp.ones((1, B, D))
    compiled = jax.jit(lambda prior: prior.log_prob(z))(NESTED)
    np.testing.assert_allclose(compiled, NESTED.log_prob(z), rtol=1e-6)
    assert NESTED.mean.shape == (D,)
    with pytest.raises(UserError, match="diagonal_gaussian"):
        component_kls(FullNormal(LOC, scale_tril=jnp.broadcast_to(jnp.eye(D), (B, D, D))), NESTED, z)
