"""Priors p(z|context), and where the context enters: folded weights, integrals, KLs, gradients."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools
import pytest
from slow_cases import fast

from jaxvae import likelihoods, networks, posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.data.spec import DataSpec
from jaxvae.distributions.structure import moments
from jaxvae.experiment import build, defaults
from jaxvae.models import given, make_model, sample

C, SIZE, DIM = 3, 6, 2
RNG = np.random.default_rng(0)
CONTEXT = jnp.asarray(np.eye(C, dtype=np.float32)[[0, 1, 2, 0, 1]])
BATCH = {"x": jnp.asarray(tools.X), "context": CONTEXT}
PRIORS = {
    "conditional_normal": lambda: priors.conditional_normal(DIM, C, (8,)),
    "mixture_of_gaussians": lambda: priors.mixture_of_gaussians(DIM, 3, context_size=C),
    "flow": lambda: priors.flow(DIM, "autoregressive", 2, (8,), context_size=C),
    "coupling": lambda: priors.flow(DIM, "coupling", 2, (8,), context_size=C),
    "vamp": lambda: priors.vamp((SIZE,), (0.0, 1.0), 3, context_size=C),
}

GAUSSIANS = posteriors.diagonal_gaussian, posteriors.full_covariance


def model_with(prior, **options):
    parts = posteriors.diagonal_gaussian(DIM), prior, likelihoods.bernoulli(), networks.mlp((8,), "tanh")
    return make_model(*parts, data_shape=(SIZE,), **{"context_dim": C, **options})


def spread(params):
    """Weights far from their start, where the context changes little."""
    return jax.tree.map(lambda leaf: leaf + 0.3 * jax.random.normal(jax.random.key(leaf.size), leaf.shape), params)


def init(model):
    return spread(jax.jit(model.init)(jax.random.key(0)))


def folded(layers, context):
    """Dense layers without the last rows of the first kernel, whose product with the context goes into the bias."""
    first = layers["Dense_0"]
    bias = first["bias"] + context @ first["kernel"][-C:]
    return {**layers, "Dense_0": {"kernel": first["kernel"][:-C], "bias": bias}}


def test_a_conditional_model_at_a_constant_context_is_an_unconditional_one_with_folded_weights():
    model = model_with(PRIORS["conditional_normal"]())
    params, context = init(model), CONTEXT[1]
    plain = model_with(priors.standard_normal(DIM), context_dim=0)
    inside = {name: folded(params[name], context) for name in ("encoder", "decoder")}
    constant = {"x": BATCH["x"], "context": jnp.broadcast_to(context, (5, C))}
    out = jax.jit(lambda: model.forward(params, jax.random.key(1), constant, 4))()
    other = jax.jit(lambda: plain.forward(inside, jax.random.key(1), {"x": BATCH["x"]}, 4))()
    for name in ("z", "log_likelihood", "log_posterior"):
        np.testing.assert_allclose(getattr(out, name), getattr(other, name), rtol=1e-5, atol=1e-5)
    # The prior of a constant context is one Gaussian.
    mean, variance = (np.asarray(each)[0] for each in (out.prior.mean, out.prior.variance))
    density = -0.5 * np.sum((np.asarray(other.z) - mean) ** 2 / variance + np.log(2 * np.pi * variance), axis=-1)
    np.testing.assert_allclose(out.log_prior, density, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("posterior", fast(GAUSSIANS, posteriors.full_covariance))
def test_the_kl_to_a_conditional_prior_is_the_closed_form_and_the_mean_of_its_draws(posterior, assert_mean):
    parts = posterior(DIM), PRIORS["conditional_normal"](), likelihoods.bernoulli(), networks.mlp((8,), "tanh")
    model = make_model(*parts, data_shape=(SIZE,), context_dim=C)
    params = init(model)
    out = jax.jit(lambda key: model.forward(params, key, BATCH, 20_000))(jax.random.key(2))
    kl = np.asarray(out.kl()).sum(axis=0)
    assert_mean(out.log_posterior - out.log_prior, kl)
    known, own = moments(out.posterior), model.prior(params, CONTEXT)  # at the context of each example
    assert known is not None
    for i, (mean, q) in enumerate(zip(*map(np.asarray, known), strict=True)):
        p = np.diag(np.asarray(own.variance)[i])
        gap = np.asarray(own.mean)[i] - mean
        terms = np.trace(np.linalg.solve(p, q)) + gap @ np.linalg.solve(p, gap) - DIM
        wanted = 0.5 * (terms + np.linalg.slogdet(p)[1] - np.linalg.slogdet(q)[1])
        np.testing.assert_allclose(kl[i], wanted, rtol=1e-4)


@pytest.mark.parametrize("name", fast(PRIORS, "conditional_normal", "mixture_of_gaussians", "flow"))
def test_a_conditional_prior_is_a_density_that_depends_on_the_context(name):
    model = model_with(PRIORS[name]())
    params = init(model)
    axis = np.linspace(-15, 15, 201, dtype=np.float32)
    grid = jnp.asarray(list(itertools.product(axis, axis)), jnp.float32)
    log_prob = jax.jit(lambda context: model.prior(params, context).log_prob(grid[:, None]))(CONTEXT[:2])
    density = np.exp(np.asarray(log_prob, np.float64)) * (axis[1] - axis[0]) ** 2
    np.testing.assert_allclose(density.sum(axis=0), 1.0, atol=0.02)
    assert np.abs(density[:, 0] - density[:, 1]).sum() > 0.05
    one = jax.jit(lambda: given(model, CONTEXT[1]).prior(params).log_prob(grid[:100]))()
    np.testing.assert_allclose(one, np.asarray(log_prob)[:100, 1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", fast(PRIORS, "conditional_normal", "mixture_of_gaussians", "flow"))
def test_gradients_reach_the_network_of_a_conditional_prior(name):
    model = model_with(PRIORS[name]())
    params = init(model)

    @jax.jit
    def gradient(context):
        def loss(params):
            out = model.forward(params, jax.random.key(1), {**BATCH, "context": context}, 2)
            return jnp.mean(out.log_posterior - out.log_prior)

        return jax.grad(loss)(params)["prior"]

    slopes, others = gradient(CONTEXT), gradient(CONTEXT[::-1])
    for mine, other in zip(jax.tree.leaves(slopes), jax.tree.leaves(others), strict=True):
        assert np.all(np.isfinite(mine))
        assert np.any(np.abs(mine) > 1e-7)
        assert np.any(mine != other)


@pytest.mark.parametrize("name", fast(PRIORS, "conditional_normal", "vamp"))
def test_each_row_of_a_context_has_its_own_sample(name):
    """A row at a time, or all at once: the same distribution, by its mean and deviation."""
    model = model_with(PRIORS[name]())
    params = init(model)
    rows = jnp.repeat(CONTEXT[:2], 4000, axis=0)
    prior = jax.jit(lambda: model.prior(params, rows).sample(jax.random.key(3)))()
    for i in range(2):
        alone = jax.jit(lambda i=i: model.prior(params, CONTEXT[i]).sample(jax.random.key(4), (4000,)))()
        mine = np.asarray(prior[4000 * i : 4000 * (i + 1)])
        error = np.sqrt((mine.var(axis=0) + np.asarray(alone).var(axis=0)) / 4000)
        assert np.all(np.abs(mine.mean(axis=0) - np.asarray(alone).mean(axis=0)) < 5 * error)
    drawn = jax.eval_shape(lambda: sample(model, params, jax.random.key(5), 5, context=CONTEXT))
    assert drawn.shape == (5, SIZE)


@pytest.mark.parametrize("to", [("encoder",), ("decoder",), ()])
def test_the_context_enters_where_it_is_asked_to(to):
    model = model_with(PRIORS["conditional_normal"](), context_to=to)
    params = init(model)
    run = jax.jit(lambda context: model.forward(params, jax.random.key(1), {**BATCH, "context": context}))
    one, other = run(CONTEXT), run(jnp.broadcast_to(CONTEXT[0], (5, C)))
    assert bool(np.any(one.posterior.mean != other.posterior.mean)) == ("encoder" in to)
    z = jnp.ones((5, DIM))
    decoded = list(map(jax.jit(lambda context: model.decode(params, z, context).mean), (CONTEXT, CONTEXT[::-1])))
    assert bool(np.any(decoded[0] != decoded[1])) == ("decoder" in to)
    assert np.any(one.prior.mean != other.prior.mean)


def test_a_model_that_ignores_its_context_is_refused():
    with pytest.raises(UserError, match="no part of it takes one"):
        model_with(priors.standard_normal(DIM), context_to=())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context.prior": True}, "the prior 'standard_normal' does not take a context. Priors that do: conditional_"),
        ({"context.encoder": False, "context.decoder": False}, "nothing would take the context"),
        ({"model.prior.name": "vamp"}, "set context.prior to True"),
        ({"model.prior.name": "conditional_normal", "model.prior.hidden": (0,)}, "every width must be"),
    ],
)
def test_settings_of_a_context_that_cannot_work_are_refused(changes, message):
    config = defaults.get_config("test")
    for key, value in changes.items():
        put(config, key, value)
    with pytest.raises(UserError, match=message):
        build.model(config.to_dict(), DataSpec((8, 8, 1), 17, context_dim=C))


def put(config, key, value):
    *sections, last = key.split(".")
    for section in sections:
        config = config[section]
    config[last] = value


def test_settings_of_a_context_without_one_are_refused():
    config = defaults.get_config("test").to_dict()
    config["context"]["encoder"] = False
    with pytest.raises(UserError, match=r"the data has no context: set data\.context"):
        build.model(config, DataSpec((8, 8, 1), 17))
    config = defaults.get_config("test").to_dict()
    config["model"]["prior"] = {"name": "conditional_normal"}
    with pytest.raises(UserError, match=r"is p\(z\|context\): set data.context"):
        build.model(config, DataSpec((8, 8, 1), 17))
