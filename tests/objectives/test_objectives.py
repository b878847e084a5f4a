"""The ELBO by hand, the frame of all objectives, and the step that gives each group the gradient of its own loss."""

import inspect

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import objective_tools as tools
import optax
import pytest
from objective_tools import CTX, X, evaluate, small
from scipy import special, stats

from jaxvae import likelihoods, posteriors, priors, train
from jaxvae.common.errors import UserError
from jaxvae.experiment.parts import GIVEN
from jaxvae.models.base import reparameterize
from jaxvae.objectives import KL_WEIGHTS, OBJECTIVES, Loss, Objective


@pytest.fixture
def params(random_like):
    return {"model": random_like(small().init, jax.random.key(0))}


@pytest.mark.parametrize("kl_estimate", ["analytic", "monte_carlo"])
@pytest.mark.parametrize(("num_samples", "beta"), [(1, 1.0), (3, 4.0)])
def test_elbo_is_arithmetic_on_the_terms(num_samples, beta, kl_estimate, params):
    model = small()

    @jax.jit
    def moments_and_logits(key):
        posterior = model.encode(params["model"], X)
        z = reparameterize(key, posterior, num_samples)
        probabilities = model.decode(params["model"], z).mean
        return posterior.mean, posterior.variance, z, jnp.log(probabilities) - jnp.log1p(-probabilities)

    objective = tools.make(
        "elbo", model, KL_WEIGHTS["constant"](beta), num_samples=num_samples, kl_estimate=kl_estimate
    )
    out = evaluate(objective, params)
    key = jax.random.split(jax.random.key(1))[0]  # the other half is the posterior's
    mean, variance, z, logits = (np.asarray(term, np.float64) for term in moments_and_logits(key))
    nll = -(X * special.log_expit(logits) + (1 - X) * special.log_expit(-logits)).sum(axis=-1).mean(axis=0)
    kl = 0.5 * (mean**2 + variance - 1 - np.log(variance)).sum(axis=-1)
    if kl_estimate == "monte_carlo":
        ratio = stats.norm.logpdf(z, mean, variance**0.5) - stats.norm.logpdf(z)
        kl = ratio.sum(axis=-1).mean(axis=0)
    expected = {"loss": nll + beta * kl, "reconstruction": nll, "kl": kl, "elbo": -nll - kl}
    assert out.metrics.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(out.metrics[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    np.testing.assert_array_equal(out.losses["model"], out.metrics["loss"])


def test_same_key_same_loss_other_key_other_loss(params):
    objective = tools.make("elbo", small())
    one, again, other = (evaluate(objective, params, seed=seed).losses["model"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.all(one != other)


def test_more_samples_keep_the_mean_and_divide_the_variance(assert_mean):
    def replicates(num_samples, seed):
        objective, params = tools.make("elbo", lg.MODEL, num_samples=num_samples), {"model": lg.params(0.5, 0.5)}
        loss = jax.vmap(lambda key: objective.loss(params, {}, {"x": lg.X}, key, CTX).losses["model"])
        return np.asarray(jax.jit(loss)(jax.random.split(jax.random.key(seed), 2000)), np.float64)

    one, many = replicates(1, 0), replicates(16, 1)
    assert_mean(one - many, 0)
    assert_mean(-one, lg.LOG_PX - lg.gap(0.5, 0.5))
    assert_mean((one - one.mean(axis=0)) ** 2 - 16 * (many - many.mean(axis=0)) ** 2, 0)


def test_the_monte_carlo_kl_of_a_mixture_prior_has_the_mean_of_its_integral(random_like, assert_mean):
    model = tools.mixture_model()
    params = {"model": random_like(model.init, jax.random.key(0))}
    objective = tools.make("elbo", model, kl_estimate="monte_carlo")
    kl = jax.vmap(lambda key: objective.loss(params, {}, {"x": X[:2]}, key, CTX).metrics["kl"])
    got = jax.jit(kl)(jax.random.split(jax.random.key(0), 3000))
    posterior, prior = model.encode(params["model"], X[:2]), model.prior(params["model"])
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    z = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    z = np.asarray(posterior.mean) + np.sqrt(np.asarray(posterior.variance)) * z
    weights = np.outer(weights, weights).reshape(-1, 1) / (2 * np.pi)
    expected = (weights * np.asarray(posterior.log_prob(z) - prior.log_prob(z), np.float64)).sum(axis=0)
    assert_mean(got, expected)


def test_without_a_likelihood_no_elbo_is_reported(params):
    out = evaluate(tools.make("elbo", small(likelihoods.squared_error)), params)
    assert out.metrics.keys() == {"loss", "reconstruction", "kl"}
    np.testing.assert_allclose(out.metrics["loss"], out.metrics["reconstruction"] + out.metrics["kl"], rtol=1e-6)


def test_a_relaxed_posterior_has_no_elbo_and_its_exact_twin_has():
    for straight_through in (False, True):
        out = tools.trace(tools.make("elbo", tools.gumbel_model(straight_through)))
        assert ("elbo" in out.metrics) == straight_through


@pytest.mark.parametrize("logvar", [-20.0, -100.0, 20.0])
def test_kl_and_its_gradient_are_finite_for_extreme_posteriors(logvar):
    def kl(logvar):
        outputs = jnp.concatenate([jnp.zeros((lg.BATCH, 3)), jnp.full((lg.BATCH, 3), logvar)], axis=-1)
        model = lg.MODEL._replace(encode=lambda *_: posteriors.diagonal_gaussian(3).build({}, outputs, None))
        objective = tools.make("elbo", model)
        return objective.loss({"model": lg.params()}, {}, {"x": lg.X}, jax.random.key(0), CTX).metrics["kl"][0]

    expected = 1.5 * (np.expm1(logvar) - logvar), 1.5 * np.expm1(logvar)
    np.testing.assert_allclose(jax.jit(jax.value_and_grad(kl))(logvar), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "model", "message"),
    [({"num_samples": 0}, small, "num_samples is 0"), ({"kl_estimate": "analytical"}, small, "Did you mean 'analytic'"),
     ({}, lambda: small(posterior=posteriors.delta), "delta"), ({}, tools.mixture_model, "kl_estimate=monte_carlo"),
     ({}, lambda: tools.gumbel_model(prior=lambda d: priors.autoregressive_codes(d, 3, (4,), 2)), "no gradient"),
     ({"kl_estimate": "monte_carlo"},
      lambda: tools.gumbel_model(prior=lambda d: priors.autoregressive_codes(d, 3, (4,), 2)), "no gradient")],
)  # fmt: skip
def test_elbo_refuses_what_has_no_bound(options, model, message):
    with pytest.raises(UserError, match=message):
        tools.trace(tools.make("elbo", model(), **options))


@pytest.mark.parametrize("name", sorted(OBJECTIVES.keys() - tools.OF_LABELS - tools.OF_CODES))
def test_every_objective_is_a_builder_with_plain_options(name):
    assert OBJECTIVES[name].__name__ == name
    for key, option in inspect.signature(OBJECTIVES[name]).parameters.items():
        if key not in GIVEN:
            assert option.annotation in (bool, int, float, str), key
            assert isinstance(option.default, option.annotation), key
    out = tools.trace(tools.make(name, tools.model_for(name)))
    assert out.losses["model"].shape == out.metrics["loss"].shape == (len(X),)
    assert "reconstruction" in out.metrics
    assert all(value.shape in ((), (len(X),)) for value in out.metrics.values())


@pytest.mark.parametrize(
    "name",
    [
        "reconstruction",
        pytest.param("wae_mmd", marks=pytest.mark.slow),
        pytest.param("swae", marks=pytest.mark.slow),
        "elbo",
    ],
)
def test_the_posteriors_penalty_and_state_come_with_every_objective(name):
    def model(commitment):
        return small(
            posterior=lambda dim: posteriors.vector_quantized(dim, 4, 3, commitment),
            prior=lambda dim: priors.uniform_categorical(dim, 4),
        )

    objective = tools.make(name, model(0.5))
    params, extra = jax.jit(objective.init)(jax.random.key(0))
    out, without = (evaluate(o, params, extra) for o in (objective, tools.make(name, model(0.0))))
    assert np.all(out.metrics["commitment"] > 0)
    np.testing.assert_allclose(out.losses["model"] - without.losses["model"], out.metrics["commitment"], rtol=1e-3)
    before, after = (tree["model"]["posterior"]["counts"] for tree in (extra, out.extra))
    assert np.all(before == 0)
    assert np.any(after > 0)
    book = objective.model_params(params, out.extra)["posterior"]["codebook"]
    np.testing.assert_array_equal(book, out.extra["model"]["posterior"]["codebook"])
    assert objective.whole_batch


def rivals(player, rival):
    """Two groups with opposite losses, each of which depends on the parameters of both."""

    def init(key):
        return {player: {"w": jnp.float32(0.7)}, rival: {"w": jnp.float32(-0.4)}}, {"seen": jnp.zeros((), jnp.int32)}

    def loss(params, extra, batch, key, ctx):
        w, v = params[player]["w"], params[rival]["w"]
        value = jnp.square(w * batch["x"][:, 0] + v) + w**3
        return Loss(
            {player: value, rival: -value.mean()}, {"loss": value, "step": ctx.step}, {"seen": extra["seen"] + 1}
        )

    return Objective(init, loss)


@pytest.mark.parametrize("names", [("model", "critic"), ("critic", "model")])
def test_each_group_moves_by_the_gradient_of_its_own_loss_only(names):
    objective, optimizer = rivals(*names), optax.sgd(0.1)
    state = train.init_state(objective, optimizer, jax.random.key(0))
    step = jax.jit(train.make_step(objective, optimizer, lambda _, x: x / 2, 100))
    loss_of_first = jax.jit(
        jax.value_and_grad(lambda w, v: jnp.mean(jnp.square(w * X[:, 0] / 2 + v)) + w**3, argnums=(0, 1))
    )
    for _ in range(3):
        before, (state, metrics) = state.params, step(state, {"x": X})
        w, v = (before[name]["w"] for name in names)
        value, (to_w, to_v) = loss_of_first(w, v)
        np.testing.assert_allclose(state.params[names[0]]["w"], w - 0.1 * to_w, rtol=1e-5)
        np.testing.assert_allclose(state.params[names[1]]["w"], v + 0.1 * to_v, rtol=1e-5)
        np.testing.assert_allclose(metrics["loss"], value, rtol=1e-5)
    assert (int(state.step), int(metrics["step"]), int(state.extra["seen"])) == (3, 2, 3)
