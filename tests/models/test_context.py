"""Contexts and masks on their way: through a pass, every objective, metrics, samplers and tools, on toy models."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import objective_tools as tools
import pytest
from scipy import stats
from slow_cases import fast

from jaxvae import data, latent, likelihoods, networks, objectives, posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.distributions.structure import observed_log_prob
from jaxvae.latent import imputation, samplers
from jaxvae.metrics.annealed import ais
from jaxvae.metrics.latent_use import collapse
from jaxvae.metrics.likelihood import importance_nll
from jaxvae.models import given, make_model, reconstruct, sample
from jaxvae.priors import Prior

C, SIZE = 3, 6
RNG = np.random.default_rng(0)
CONTEXT = RNG.normal(size=(5, C)).astype(np.float32)
BATCH = {"x": jnp.asarray(tools.X), "context": jnp.asarray(CONTEXT)}


def conditional_normal(latent_dim):
    """p(z|c) = N(c W, I) with learned W."""

    def build(params, encode, context):
        del encode
        mean = context @ params["weight"]
        return dist.Normal(mean, jnp.ones_like(mean)).to_event(1)

    return Prior(build, lambda key: {"weight": 0.3 * jax.random.normal(key, (C, latent_dim))}, takes_context=True)


def conditional(likelihood=likelihoods.bernoulli, posterior=posteriors.diagonal_gaussian, prior=conditional_normal):
    parts = posterior(2), prior(2), likelihood(), networks.mlp((8,), "tanh")
    return make_model(*parts, data_shape=(SIZE,), context_dim=C)


MODEL = conditional()
PARAMS = jax.jit(MODEL.init)(jax.random.key(0))
POINT = functools.partial(conditional, lambda: likelihoods.squared_error("tanh"), posteriors.delta)


def test_the_model_at_one_context_is_an_ordinary_model():
    one = given(MODEL, CONTEXT[0])
    same = jnp.broadcast_to(BATCH["context"][0], (5, C))
    assert (MODEL.context_dim, one.context_dim) == (C, 0)

    @jax.jit
    def both():
        mine = one.forward(PARAMS, jax.random.key(1), {"x": BATCH["x"]}, 4)
        theirs = MODEL.forward(PARAMS, jax.random.key(1), {**BATCH, "context": same}, 4)
        return [(out.z, out.log_likelihood, out.log_prior, out.log_posterior, out.kl()) for out in (mine, theirs)]

    for mine, theirs in zip(*both(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


def test_every_function_of_the_model_looks_at_the_context():
    @jax.jit
    def run(context):
        out = MODEL.forward(PARAMS, jax.random.key(1), {**BATCH, "context": context}, 2)
        return out.posterior.mean, out.log_likelihood, out.log_prior, out.kl()

    for a, b in zip(run(BATCH["context"]), run(BATCH["context"][::-1]), strict=True):
        changed = np.asarray(a) != np.asarray(b)
        assert np.all(np.moveaxis(changed, 1 if a.shape[:2] == (2, 5) else 0, 0)[[0, 1]]) or np.mean(changed) > 0.5


def test_the_closed_form_of_a_conditional_prior_is_the_mean_of_its_draws(assert_mean):
    out = jax.jit(lambda key: MODEL.forward(PARAMS, key, BATCH, 20_000))(jax.random.key(2))
    assert out.prior.batch_shape == (5,)
    assert_mean(out.log_posterior - out.log_prior, np.asarray(out.kl()).sum(axis=0))


def test_the_likelihood_of_a_conditional_model_is_the_integral_over_z():
    """Two latent dimensions, on a grid, for each example at its own context."""
    model = conditional(lambda: likelihoods.gaussian(variance=0.3))
    params = jax.jit(model.init)(jax.random.key(3))
    axis = np.linspace(-8, 8, 161, dtype=np.float32)
    grid = jnp.asarray(np.array(list(itertools.product(axis, axis)), np.float32))

    @jax.jit
    def exact(x, context):
        log_joint = model.decode(params, grid, context).log_prob(x) + model.prior(params, context).log_prob(grid)
        return jax.nn.logsumexp(log_joint) + 2 * jnp.log(axis[1] - axis[0])

    wanted = [exact(x, c) for x, c in zip(BATCH["x"], BATCH["context"], strict=True)]
    estimate = jax.jit(lambda key: importance_nll(model, params, key, BATCH["x"], 5000, context=BATCH["context"]))(
        jax.random.key(4)
    )
    np.testing.assert_allclose(-estimate, wanted, atol=0.05)


# the others have their way to context and mask
SLOW = ("beta_tcvae", "ciwae", "denoising", "dip_vae", "info_vae", "miwae", "piwae", "rae", "reconstruction", "swae",
        "wae_mmd")  # fmt: skip
OTHERS = sorted(objectives.OBJECTIVES.keys() - tools.OF_LABELS - tools.OF_CLUSTERS - tools.OF_CODES)
CASES = fast(OTHERS, *sorted({*OTHERS} - {*SLOW}))


@pytest.mark.parametrize("name", CASES)
def test_every_objective_trains_on_context(name):
    fixed = name in tools.WITHOUT_KL
    model = (POINT if name == "rae" else conditional)(**({"prior": priors.standard_normal} if fixed else {}))
    objective = tools.make(name, model)
    params, extra = jax.jit(objective.init)(jax.random.key(0))

    @jax.jit
    def gradient(batch):
        def loss(params):
            return jnp.mean(objective.loss(params, extra, batch, jax.random.key(1), tools.CTX).losses["model"])

        return jax.grad(loss)(params)

    slopes, others = gradient(BATCH), gradient({**BATCH, "context": BATCH["context"][::-1]})
    kernels = {"encoder": lambda p: p["Dense_0"]["kernel"][-C:], "decoder": lambda p: p["Dense_0"]["kernel"][-C:]}
    if not fixed:
        kernels["prior"] = lambda p: p["weight"]
    for part, rows in kernels.items():  # those that the context meets are trained, by the context given
        mine, other = (np.asarray(rows(tree["model"][part])) for tree in (slopes, others))
        assert np.all(np.isfinite(mine))
        assert np.any(np.abs(mine) > 1e-7)
        assert np.any(mine != other)


def test_a_missing_or_wrong_context_is_refused():
    for call in (
        lambda: MODEL.encode(PARAMS, BATCH["x"]),
        lambda: MODEL.decode(PARAMS, jnp.zeros((1, 2))),
        lambda: MODEL.forward(PARAMS, jax.random.key(0), {"x": BATCH["x"]}),
        lambda: sample(MODEL, PARAMS, jax.random.key(0), 2),
    ):
        with pytest.raises(UserError, match="context"):
            jax.eval_shape(call)
    with pytest.raises(UserError, match="context of 2 values was given, but the model takes 3 values"):
        given(MODEL, np.zeros(2))
    with pytest.raises(UserError, match="takes no context"):
        given(tools.small(), np.zeros(2))
    with pytest.raises(UserError, match="pseudo-inputs, which have no context"):
        conditional(prior=lambda dim: priors.vamp((SIZE,), (0.0, 1.0), 3))


@pytest.mark.slow
def test_metrics_samplers_and_tools_take_the_model_at_one_context():
    one, x, key = given(MODEL, CONTEXT[1]), BATCH["x"], jax.random.key
    mean, other = (
        np.mean(jax.jit(lambda key, model=model: sample(model, PARAMS, key, 50))(key(seed)), axis=0)
        for model, seed in ((one, 5), (given(MODEL, 5 * CONTEXT[2]), 6))
    )
    assert np.max(np.abs(mean - other)) > 0.01
    assert jax.eval_shape(lambda: reconstruct(one, PARAMS, x)) == jax.eval_shape(
        lambda: reconstruct(MODEL, PARAMS, x, context=BATCH["context"])
    )
    assert collapse(one, PARAMS, key(7), [x])["num_units"] == 2
    assert np.all(np.isfinite(jax.jit(lambda: ais(one, PARAMS, key(8), x, 5, 2))()))
    codes = samplers.encode_all(one, PARAMS, [x], key(9))
    draw = samplers.SAMPLERS["gmm"](components=2).fit(one, PARAMS, codes, key(10))
    assert samplers.sample_with(one, PARAMS, draw, key(11), 4).shape == (4, SIZE)
    assert jax.eval_shape(lambda: latent.interpolate(one, PARAMS, x[:1], x[1:2], 3)).mean.shape == (1, 3, SIZE)
    observed = jnp.arange(SIZE) < 3
    filled = imputation.pseudo_gibbs(one, PARAMS, key(12), x, observed, num_steps=3, burn_in=1, chains=1)
    np.testing.assert_array_equal(filled.mean[:, :3], x[:, :3])


def test_a_sweep_of_the_models_own_is_used_and_gets_the_context():
    def sweep(params, key, batch, num_samples, is_training):
        out = MODEL.forward(params, key, batch, num_samples, is_training)
        return out._replace(log_likelihood=out.log_likelihood - 1)

    own = MODEL._replace(sweep=sweep)
    for model, batch in ((own, BATCH), (given(own, CONTEXT[0]), {"x": BATCH["x"]})):
        plain = MODEL if model is own else given(MODEL, CONTEXT[0])
        mine, theirs = (m.forward(PARAMS, jax.random.key(1), batch).log_likelihood for m in (model, plain))
        np.testing.assert_allclose(mine, theirs - 1, rtol=1e-6)


MASK = np.asarray(RNG.uniform(size=tools.X.shape) < 0.6)


@pytest.mark.parametrize("likelihood", [likelihoods.bernoulli, likelihoods.gaussian])
def test_the_likelihood_of_observed_values_is_a_sum_over_them(likelihood):
    model = tools.small(likelihood)
    params = jax.jit(model.init)(jax.random.key(0))
    z = jnp.asarray(RNG.normal(size=(5, 2)), jnp.float32)
    p = model.decode(params, z)
    if likelihood is likelihoods.gaussian:
        by_value = stats.norm.logpdf(tools.X, np.asarray(p.mean))
    else:
        by_value = tools.X * np.log(p.mean) + (1 - tools.X) * np.log1p(-np.asarray(p.mean))
    broken = np.where(MASK, tools.X, np.nan)
    np.testing.assert_allclose(
        observed_log_prob(p, broken, MASK), np.sum(by_value * MASK, axis=1), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_array_equal(observed_log_prob(p, jnp.asarray(tools.X)), p.log_prob(tools.X))


@pytest.mark.parametrize("name", [case for case in CASES if case not in [*tools.PERCEPTUAL]])  # which refuse a mask
def test_no_objective_sees_a_missing_value(name):
    """Whatever stands where a value is missing, NaN too, loss and gradients are the same."""
    model = tools.POINT if name == "rae" else tools.small()
    if name == "rae":
        model = tools.small(lambda: likelihoods.gaussian("tanh"), posteriors.delta)
    objective = tools.make(name, model)
    params, extra = jax.jit(objective.init)(jax.random.key(0))

    @jax.jit
    def run(x):
        def loss(params):
            out = objective.loss(params, extra, {"x": x, "mask": MASK}, jax.random.key(1), tools.CTX)
            return jnp.mean(out.losses["model"])

        return jax.value_and_grad(loss)(params)

    found = [run(np.where(MASK, tools.X, other).astype(np.float32)) for other in (0.0, 7.0, np.nan)]
    for other in found[1:]:
        jax.tree.map(np.testing.assert_array_equal, found[0], other)
    assert np.isfinite(found[0][0])
    assert found[0][0] != run(np.where(MASK, 1 - tools.X, 0.0).astype(np.float32))[0]


def test_the_likelihood_of_incomplete_examples_is_a_marginal():
    """The bound on log p(x_observed) agrees with an integral over z of the observed values alone."""
    model = tools.small(lambda: likelihoods.gaussian(variance=0.3))
    params = jax.jit(model.init)(jax.random.key(3))
    axis = np.linspace(-8, 8, 161, dtype=np.float32)
    grid = jnp.asarray(np.array(list(itertools.product(axis, axis)), np.float32))
    x = jnp.asarray(np.where(MASK, tools.X, np.nan))

    @jax.jit
    def exact(x, mask):
        log_joint = observed_log_prob(model.decode(params, grid), jnp.broadcast_to(x, (len(grid), SIZE)), mask)
        return jax.nn.logsumexp(log_joint + model.prior(params).log_prob(grid)) + 2 * jnp.log(axis[1] - axis[0])

    wanted = [exact(*row) for row in zip(x, jnp.asarray(MASK), strict=True)]
    estimate = jax.jit(lambda key: importance_nll(model, params, key, x, 5000, mask=MASK))(jax.random.key(4))
    np.testing.assert_allclose(-estimate, wanted, atol=0.05)


def test_a_hamiltonian_posterior_moves_on_the_conditional_density_of_observed_values():
    model = conditional(posterior=posteriors.hamiltonian)
    params = jax.jit(model.init)(jax.random.key(0))
    z = jnp.asarray(RNG.normal(size=(5, 2)), jnp.float32)
    x, context = jnp.asarray(np.where(MASK, tools.X, np.nan)), BATCH["context"]

    @jax.jit
    def both(params):
        found = model.encode(params, x, context, MASK).log_joint(z)
        wanted = observed_log_prob(model.decode(params, z, context), x, MASK)
        return found, wanted + model.prior(params, context).log_prob(z)

    np.testing.assert_allclose(*both(params), rtol=1e-5)


def test_a_mask_needs_a_likelihood_that_is_a_product_over_values():
    model = tools.small(lambda: likelihoods.gaussian(learn="optimal"))
    with pytest.raises(UserError, match="product over values"):
        jax.eval_shape(
            lambda: model.forward(model.init(jax.random.key(0)), jax.random.key(1), {"x": BATCH["x"], "mask": MASK})
        )


@pytest.mark.parametrize("shape", [(5,), (5, 1), (SIZE,), (1, SIZE)])
def test_a_mask_has_the_shape_of_the_data(shape):
    model = tools.small()
    with pytest.raises(AssertionError, match="shape"):
        jax.eval_shape(
            lambda: model.forward(
                model.init(jax.random.key(0)), jax.random.key(1), {"x": BATCH["x"], "mask": np.ones(shape, bool)}
            )
        )


def test_splits_and_feeds_carry_context_and_mask():
    split = data.Split(tools.X, context=CONTEXT, mask=MASK)
    whole = data.prepare("toy", {"train": split}, 1.0, 0.2)
    assert whole.context_dim == C
    rows = {context.tobytes(): i for i, context in enumerate(CONTEXT)}
    for part in (whole.train, whole.validation, whole.test):
        index = [rows[context.tobytes()] for context in part.context]
        np.testing.assert_array_equal(part.x, np.where(MASK[index], tools.X[index], 0))
        np.testing.assert_array_equal(part.mask, MASK[index])
    feed = data.make_feed(split, 4, 0)
    batch = feed.fetch(feed.resident, feed.items(0, 1)[0])
    index = [rows[np.asarray(context).tobytes()] for context in batch["context"]]
    np.testing.assert_array_equal(batch["x"], tools.X[index])
    np.testing.assert_array_equal(batch["mask"], MASK[index])


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ({"context": CONTEXT[:3]}, r"context is float32 \(3, 3\)"),
        ({"context": np.full_like(CONTEXT, np.nan)}, "context holds values that are NaN"),
        ({"mask": MASK.astype(np.float32)}, "mask is float32"),
        ({"mask": MASK[:, :2]}, r"mask is bool \(5, 2\)"),
    ],
)
def test_contexts_and_masks_that_do_not_fit_are_refused(beside, message):
    with pytest.raises(UserError, match=message):
        data.prepare("toy", {"train": data.Split(tools.X, **beside)}, 1.0, 0.2)
