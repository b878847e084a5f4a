"""The objectives against arithmetic by hand, and the step that gives each group the gradient of its own loss."""

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import optax
import pytest
from scipy import special

from jaxvae import likelihoods, networks, objectives, posteriors, priors, train
from jaxvae.errors import UserError
from jaxvae.model import make_model, reparameterize
from jaxvae.objectives import Loss, Objective, StepContext

X = np.random.default_rng(0).uniform(size=(5, 6)).astype(np.float32)
CTX = StepContext(0, 100)


def small(likelihood=likelihoods.bernoulli, posterior=posteriors.diagonal_gaussian):
    parts = posterior(2), priors.standard_normal(2), likelihood(), networks.mlp(2, (8,))
    return make_model(*parts, data_shape=(6,), latent_dim=2)


@pytest.fixture
def params(random_like):
    return {"model": random_like(small().init, jax.random.key(0))}


def evaluate(objective, params, seed=1):
    return jax.device_get(jax.jit(objective.loss)(params, {}, {"x": X}, jax.random.key(seed), CTX))


@pytest.mark.parametrize(("num_samples", "beta"), [(1, 1.0), (3, 4.0)])
def test_elbo_is_arithmetic_on_the_terms(num_samples, beta, params):
    model = small()

    @jax.jit
    def moments_and_logits(key):
        posterior = model.encode(params["model"], X)
        z = reparameterize(key, posterior, num_samples)
        return posterior.mean, posterior.variance, model.decode(params["model"], z).values.logits

    out = evaluate(objectives.elbo(model, num_samples, beta), params, seed=1)
    mean, variance, logits = (np.asarray(term, np.float64) for term in moments_and_logits(jax.random.key(1)))
    nll = -(X * special.log_expit(logits) + (1 - X) * special.log_expit(-logits)).sum(axis=-1).mean(axis=0)
    kl = 0.5 * (mean**2 + variance - 1 - np.log(variance)).sum(axis=-1)
    expected = {"loss": nll + beta * kl, "reconstruction": nll, "kl": kl, "elbo": -nll - kl}
    assert out.metrics.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(out.metrics[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    np.testing.assert_array_equal(out.losses["model"], out.metrics["loss"])


def test_same_key_same_loss_other_key_other_loss(params):
    objective = objectives.elbo(small())
    one, again, other = (evaluate(objective, params, seed).losses["model"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.all(one != other)


def test_more_samples_keep_the_mean_and_divide_the_variance(assert_mean):
    def replicates(num_samples, seed):
        objective, params = objectives.elbo(lg.MODEL, num_samples), {"model": lg.params(0.5, 0.5)}
        loss = jax.vmap(lambda key: objective.loss(params, {}, {"x": lg.X}, key, CTX).losses["model"])
        return np.asarray(jax.jit(loss)(jax.random.split(jax.random.key(seed), 2000)), np.float64)

    one, many = replicates(1, 0), replicates(16, 1)
    assert_mean(one - many, 0)
    assert_mean((one - one.mean(axis=0)) ** 2 - 16 * (many - many.mean(axis=0)) ** 2, 0)


def test_without_a_likelihood_no_elbo_is_reported(params):
    out = evaluate(objectives.elbo(small(likelihoods.squared_error)), params)
    assert out.metrics.keys() == {"loss", "reconstruction", "kl"}
    np.testing.assert_allclose(out.metrics["loss"], out.metrics["reconstruction"] + out.metrics["kl"], rtol=1e-6)


@pytest.mark.parametrize("logvar", [-20.0, -100.0, 20.0])
def test_kl_and_its_gradient_are_finite_for_extreme_posteriors(logvar):
    def kl(logvar):
        outputs = jnp.concatenate([jnp.zeros((lg.BATCH, 3)), jnp.full((lg.BATCH, 3), logvar)], axis=-1)
        model = lg.MODEL._replace(encode=lambda *_: posteriors.diagonal_gaussian(3).build({}, outputs))
        out = objectives.elbo(model).loss({"model": lg.params()}, {}, {"x": lg.X}, jax.random.key(0), CTX)
        return out.metrics["kl"][0]

    expected = 1.5 * (np.expm1(logvar) - logvar), 1.5 * np.expm1(logvar)
    np.testing.assert_allclose(jax.jit(jax.value_and_grad(kl))(logvar), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("likelihood", "reference"),
    [(likelihoods.bernoulli, lambda mean: -special.xlogy(X, mean) - special.xlogy(1 - X, 1 - mean)),
     (lambda: likelihoods.squared_error("sigmoid"), lambda mean: (X - mean) ** 2)],
)  # fmt: skip
def test_reconstruction_of_a_delta_is_the_loss_at_its_code(likelihood, reference, random_like):
    model = small(likelihood, posteriors.delta)
    params = {"model": random_like(model.init, jax.random.key(0))}
    out, other = (evaluate(objectives.reconstruction(model), params, seed) for seed in (1, 2))
    decode = jax.jit(lambda params: model.decode(params, model.encode(params, X).mean).mean)
    expected = reference(np.asarray(decode(params["model"]), np.float64)).sum(axis=-1)
    assert out.metrics.keys() == {"loss", "reconstruction"}
    for value in (*out.metrics.values(), out.losses["model"]):
        np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_array_equal(other.losses["model"], out.losses["model"])


def test_reconstruction_of_a_gaussian_is_the_elbo_without_its_kl(params):
    both = objectives.reconstruction(small()), objectives.elbo(small())
    alone, within = (evaluate(objective, params) for objective in both)
    np.testing.assert_allclose(alone.metrics["loss"], within.metrics["reconstruction"], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "posterior", "message"),
    [({"num_samples": 0}, posteriors.diagonal_gaussian, "num_samples is 0"),
     ({"beta": -0.1}, posteriors.diagonal_gaussian, "beta is -0.1"),
     ({}, posteriors.delta, "delta")],
)  # fmt: skip
def test_elbo_refuses_what_has_no_bound(options, posterior, message):
    with pytest.raises(UserError, match=message):
        objectives.elbo(small(posterior=posterior), **options)


def rivals(player, rival):
    """Two groups with opposite losses, each of which depends on the parameters of both."""

    def init(key):
        return {player: {"w": jnp.float32(0.7)}, rival: {"w": jnp.float32(-0.4)}}, {"seen": 0}

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
    step = jax.jit(train.make_step(objective, optimizer, lambda _, x: x / 2, jax.random.key(1), 100))
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
