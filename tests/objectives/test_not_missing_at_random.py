"""Values that hide themselves: the bound against an integral, what it learns, and imputation that knows of it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import objective_tools as tools
import optax
import pytest
from scipy import special

from jaxvae import likelihoods, networks, objectives, posteriors, priors
from jaxvae.common.columns import Column
from jaxvae.common.errors import UserError
from jaxvae.distributions.missingness import MISSINGNESS, self_masking_log_prob
from jaxvae.latent.imputation import importance_imputation
from jaxvae.models import Data, Latent, Model, make_model

SLOPE, NOISE = np.array([1.0, 0.7]), 0.3  # x = SLOPE z + N(0, NOISE)
HIDES = {"weight": np.array([0.0, -3.0]), "bias": np.array([4.0, 0.5])}  # the second value hides where it is large


def _encode(params, x, context=None, mask=None):
    seen = jnp.ones(x.shape) if mask is None else mask.astype(jnp.float32)
    variance = 1 / (1 + seen @ jnp.square(params["slope"]) / NOISE)
    mean = variance * (jnp.where(seen > 0, x, 0.0) @ params["slope"]) / NOISE
    return dist.Normal(mean[..., None], 1.2 * jnp.sqrt(variance)[..., None]).to_event(1)


MODEL = Model(
    init=lambda key: {"slope": jnp.asarray(SLOPE, jnp.float32)},
    encode=_encode,
    decode=lambda params, z, context=None: dist.Normal(z * params["slope"], NOISE**0.5).to_event(1),
    prior=lambda params, context=None: dist.Normal(jnp.zeros(1), 1.0).to_event(1),
    latent=Latent((1,)),
    data=Data((2,)),
    likelihood=likelihoods.gaussian(variance=NOISE),
)
PARAMS = {"slope": jnp.asarray(SLOPE, jnp.float32)}
GROUP = {name: jnp.asarray(value, jnp.float32) for name, value in HIDES.items()}
X = np.array([[0.5, np.nan], [-1.0, -0.4], [2.0, np.nan], [np.nan, 0.2]], np.float32)
MASK = ~np.isnan(X)


@functools.cache
def exact():
    """log p(x_observed, mask) `[B]` and E[x_missing | x_observed, mask] by quadrature over the missing value."""
    grid = np.linspace(-12, 12, 4001)
    covariance = np.outer(SLOPE, SLOPE) + NOISE * np.eye(2)
    found = []
    for x, mask in zip(X.astype(float), MASK, strict=True):
        rows = np.stack([np.where(mask, x, g) for g in grid]) if not mask.all() else x[None]
        logits = HIDES["weight"] * rows + HIDES["bias"]
        log_mask = special.log_expit(np.where(mask, logits, -logits)).sum(axis=1)
        inverse = np.linalg.inv(covariance)
        log_px = (
            -0.5 * np.einsum("ni,ij,nj->n", rows, inverse, rows) - 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]
        )
        step = 1.0 if mask.all() else grid[1] - grid[0]
        weights = np.exp(log_px + log_mask) * step
        found.append((np.log(weights.sum()), (weights[:, None] * rows).sum(axis=0) / weights.sum()))
    return np.array([f[0] for f in found]), np.array([f[1] for f in found])


def bound(num_samples, groups, key):
    objective = objectives.iwae(MODEL, num_samples=num_samples, not_missing_at_random=True)
    batch = {"x": jnp.asarray(X), "mask": jnp.asarray(MASK)}
    run = jax.jit(lambda key: objective.loss({"model": PARAMS, **groups}, {}, batch, key, tools.CTX).losses)
    return run(key)


def test_the_bound_reaches_the_likelihood_of_values_and_mask():
    losses = bound(20_000, {MISSINGNESS: GROUP}, jax.random.key(0))
    np.testing.assert_allclose(-losses["model"], exact()[0], atol=0.03)
    np.testing.assert_array_equal(losses["model"], losses[MISSINGNESS])
    few = jax.vmap(lambda key: bound(1, {MISSINGNESS: GROUP}, key)["model"])(jax.random.split(jax.random.key(1), 500))
    assert np.all(-few.mean(axis=0) < exact()[0])


@pytest.mark.slow
def test_imputation_knows_that_the_missing_value_is_large():
    run = functools.partial(importance_imputation, MODEL, PARAMS, x=X, observed=MASK, num_samples=5000, num_draws=200)
    found = run(jax.random.key(2), missingness=GROUP)
    wanted = exact()[1]
    np.testing.assert_allclose(found.mean, wanted, atol=0.06)
    draws = np.asarray(found.draws)
    np.testing.assert_array_equal(draws[:, MASK], np.broadcast_to(X[MASK], (200, MASK.sum())))
    spread = draws.std(axis=0)[~MASK] / np.sqrt(200)
    assert np.all(np.abs(draws.mean(axis=0) - wanted)[~MASK] < 4.5 * spread)
    at_random = np.asarray(run(jax.random.key(3)).mean)
    assert np.all((wanted - at_random)[[0, 2], 1] > 0.1)  # which ignores the mask


@pytest.mark.slow
def test_it_learns_which_values_hide():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 1)) * SLOPE + np.sqrt(NOISE) * rng.normal(size=(2000, 2))
    mask = rng.uniform(size=x.shape) < special.expit(HIDES["weight"] * x + HIDES["bias"])
    objective = objectives.iwae(MODEL, num_samples=5, not_missing_at_random=True)
    optimizer = optax.adam(0.05)
    batch = {"x": jnp.asarray(np.where(mask, x, np.nan), jnp.float32), "mask": jnp.asarray(mask)}

    @jax.jit
    def train(group):
        def step(state, key):
            group, moments = state

            def loss(group):
                params = {"model": PARAMS, MISSINGNESS: group}
                return jnp.mean(objective.loss(params, {}, batch, key, tools.CTX).losses[MISSINGNESS])

            updates, moments = optimizer.update(jax.grad(loss)(group), moments)
            return (optax.apply_updates(group, updates), moments), None

        return jax.lax.scan(step, (group, optimizer.init(group)), jax.random.split(jax.random.key(4), 200))[0][0]

    start = jax.eval_shape(lambda key: objective.init(key)[0][MISSINGNESS], jax.random.key(0))
    learned = train(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), start))
    assert learned["weight"][1] == pytest.approx(-3.0, abs=0.7)
    assert learned["bias"][1] == pytest.approx(0.5, abs=0.4)


def test_a_mask_that_depends_on_nothing_is_a_constant():
    group = {"weight": jnp.zeros(2), "bias": jnp.asarray([0.7, -0.2])}
    plain = objectives.iwae(MODEL, num_samples=7)
    batch, key = {"x": jnp.asarray(X), "mask": jnp.asarray(MASK)}, jax.random.key(5)
    log_mask = self_masking_log_prob(group, jnp.zeros(X.shape), jnp.asarray(MASK), 1)
    wanted = jax.jit(lambda key: plain.loss({"model": PARAMS}, {}, batch, key, tools.CTX).losses["model"])(key)
    np.testing.assert_allclose(bound(7, {MISSINGNESS: group}, jax.random.key(5))["model"], wanted - log_mask, rtol=1e-5)


def test_a_missing_value_has_no_gradient_and_what_has_none_is_refused():
    objective = objectives.iwae(tools.small(likelihoods.gaussian), num_samples=3, not_missing_at_random=True)
    params, extra = jax.jit(objective.init)(jax.random.key(0))
    mask = np.random.default_rng(0).uniform(size=tools.X.shape) < 0.5

    @jax.jit
    def slopes(x):
        loss = lambda x: jnp.mean(  # noqa: E731
            objective.loss(params, extra, {"x": x, "mask": mask}, jax.random.key(1), tools.CTX).losses["model"]
        )
        return jax.grad(loss)(x)

    found = np.asarray(slopes(np.where(mask, tools.X, np.nan)))
    np.testing.assert_array_equal(found[~mask], 0.0)
    assert np.all(np.isfinite(found))
    with pytest.raises(UserError, match="take the likelihood 'gaussian' or 'laplace'"):
        objectives.iwae(tools.small(), num_samples=3, not_missing_at_random=True)
    table = make_model(
        posteriors.diagonal_gaussian(2), priors.standard_normal(2), likelihoods.columns((Column("a", "real"),)),
        networks.mlp((4,)), data_shape=(1,),
    )  # fmt: skip
    with pytest.raises(UserError, match="categories and counts, which the likelihood 'columns' can have"):
        objectives.iwae(table, num_samples=3, not_missing_at_random=True)
    with pytest.raises(UserError, match="gradient=pathwise"):
        objectives.iwae(tools.small(likelihoods.gaussian), gradient="dreg", not_missing_at_random=True)
