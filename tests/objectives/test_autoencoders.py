"""Autoencoders with noise, a contractive penalty, a regularised decoder: against NumPy and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools
import pytest
from scipy import special

from jaxvae import likelihoods, posteriors
from jaxvae.common.errors import UserError
from jaxvae.objectives import corrupt

SIZE = 40_000


@pytest.fixture
def params(random_like):
    return {"model": random_like(tools.POINT.init, jax.random.key(0))}


def finite_difference(function, x, step=1e-5):
    """The Jacobian `[B, in, out]` of a map of rows, in float64."""
    steps = step * np.eye(x.shape[-1])[:, None]
    x = np.asarray(x, np.float64)
    return np.moveaxis(np.stack([(function(x + s) - function(x - s)) / (2 * step) for s in steps]), 0, 1)


@pytest.mark.parametrize(
    ("likelihood", "reference"),
    [(likelihoods.bernoulli, lambda mean: -special.xlogy(tools.X, mean) - special.xlogy(1 - tools.X, 1 - mean)),
     (lambda: likelihoods.squared_error("sigmoid"), lambda mean: (tools.X - mean) ** 2)],
)  # fmt: skip
def test_reconstruction_of_a_delta_is_the_loss_at_its_code(likelihood, reference, random_like):
    model = tools.small(likelihood, posteriors.delta)
    params = {"model": random_like(model.init, jax.random.key(0))}
    out, other = (tools.evaluate(tools.make("reconstruction", model), params, seed=seed) for seed in (1, 2))
    decode = jax.jit(lambda params: model.decode(params, model.encode(params, tools.X).mean).mean)
    expected = reference(np.asarray(decode(params["model"]), np.float64)).sum(axis=-1)
    assert out.metrics.keys() == {"loss", "reconstruction"}
    for value in (*out.metrics.values(), out.losses["model"]):
        np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_array_equal(other.losses["model"], out.losses["model"])


def test_reconstruction_of_a_gaussian_is_the_elbo_without_its_kl(random_like):
    params = {"model": random_like(tools.small().init, jax.random.key(0))}
    alone, within = (tools.evaluate(tools.make(name, tools.small()), params) for name in ("reconstruction", "elbo"))
    np.testing.assert_allclose(alone.metrics["loss"], within.metrics["reconstruction"], rtol=1e-6)


def test_reconstruction_at_the_centre_has_no_noise_and_does_not_train_the_spread(random_like):
    model = tools.small()
    params = {"model": random_like(model.init, jax.random.key(0))}
    objective = tools.make("reconstruction", model, at_centre=True)
    out, other = (tools.evaluate(objective, params, seed=seed) for seed in (1, 2))
    decode = jax.jit(lambda params: model.decode(params, model.encode(params, tools.X).mean).log_prob(tools.X))
    np.testing.assert_allclose(out.metrics["loss"], -decode(params["model"]), rtol=1e-6)
    np.testing.assert_array_equal(other.losses["model"], out.losses["model"])
    loss = lambda params: jnp.sum(  # noqa: E731
        objective.loss(params, {}, {"x": tools.X}, jax.random.key(1), tools.CTX).losses["model"]
    )
    slope = jax.jit(jax.grad(loss))(params)["model"]["encoder"]["Dense_1"]["kernel"]
    assert np.all(slope[:, :2] != 0)
    np.testing.assert_array_equal(slope[:, 2:], 0)


def test_denoising_at_the_centre_is_the_loss_of_x_at_the_code_of_what_is_corrupted(random_like):
    model = tools.small()
    params = {"model": random_like(model.init, jax.random.key(0))}
    whole, none = (
        tools.evaluate(tools.make("denoising", model, at_centre=True, level=level), params) for level in (1.0, 0.0)
    )
    decode = jax.jit(lambda x: model.decode(params["model"], model.encode(params["model"], x).mean).log_prob(tools.X))
    np.testing.assert_allclose(whole.metrics["loss"], -decode(0 * tools.X), rtol=1e-6)
    np.testing.assert_allclose(none.metrics["loss"], -decode(tools.X), rtol=1e-6)


def test_gaussian_noise_has_its_moments(assert_mean):
    x = jnp.linspace(0, 1, SIZE)
    noise = np.asarray(corrupt(jax.random.key(0), x, "gaussian", 0.3) - x, np.float64)
    assert_mean(noise, 0)
    assert_mean(noise**2, 0.09)


@pytest.mark.parametrize(("noise", "values"), [("masking", (-2.0,)), ("salt_and_pepper", (-2.0, 5.0))])
def test_the_level_is_the_part_of_values_that_are_set(noise, values, assert_mean):
    x = jnp.linspace(-1, 4, SIZE)
    got = np.asarray(corrupt(jax.random.key(0), x, noise, 0.3, (-2.0, 5.0)))
    for value in values:
        assert_mean(got == value, 0.3 / len(values))
    kept = np.logical_and.reduce([got != value for value in values])
    np.testing.assert_array_equal(got[kept], np.asarray(x)[kept])
    for level, left in ((0.0, 1.0), (1.0, 0.0)):
        assert np.mean(np.asarray(corrupt(jax.random.key(1), x, noise, level, (-2.0, 5.0))) == x) == left


def test_denoising_encodes_the_noisy_and_decodes_the_clean(params):
    out = tools.evaluate(tools.make("denoising", tools.POINT, noise="salt_and_pepper", level=0.4), params)
    noise_key = jax.random.split(jax.random.split(jax.random.key(1))[0])[0]
    noisy = corrupt(noise_key, tools.X, "salt_and_pepper", 0.4)
    expected = ((tools.X - tools.decoded(params["model"], tools.encoded(params["model"], noisy))) ** 2).sum(axis=-1)
    np.testing.assert_allclose(out.losses["model"], expected, rtol=1e-5)
    np.testing.assert_array_equal(out.metrics["reconstruction"], out.losses["model"])
    clean = tools.evaluate(tools.make("denoising", tools.POINT, level=0.0), params)
    plain = tools.evaluate(tools.make("reconstruction", tools.POINT), params)
    np.testing.assert_allclose(clean.losses["model"], plain.losses["model"], rtol=1e-6)
    assert np.any(np.abs(out.losses["model"] - plain.losses["model"]) > 1e-3)


def test_the_contractive_penalty_is_the_squared_jacobian_of_the_encoder(params):
    out = tools.evaluate(tools.make("contractive", tools.POINT, weight=0.7), params)
    jacobian = finite_difference(lambda x: tools.encoded(params["model"], x), tools.X)
    expected = (jacobian**2).sum(axis=(1, 2))
    np.testing.assert_allclose(out.metrics["contraction"], expected, rtol=1e-4)
    np.testing.assert_allclose(out.losses["model"], out.metrics["reconstruction"] + 0.7 * expected, rtol=1e-5)


def test_the_contractive_penalty_of_a_gaussian_is_that_of_its_mean(random_like):
    model = tools.small()
    params = {"model": random_like(model.init, jax.random.key(0))}
    out = tools.evaluate(tools.make("contractive", model), params)
    jacobian = finite_difference(lambda x: tools.encoded(params["model"], x)[..., :2], tools.X)
    np.testing.assert_allclose(out.metrics["contraction"], (jacobian**2).sum(axis=(1, 2)), rtol=1e-4)


def test_rae_l2_is_arithmetic_on_latents_and_decoder(params):
    out = tools.evaluate(tools.make("rae", tools.POINT, latent_weight=0.2, weight=0.03), params)
    z = tools.encoded(params["model"], tools.X)
    reconstruction = ((tools.X - tools.decoded(params["model"], z)) ** 2).sum(axis=-1)
    squares = sum((np.asarray(leaf, np.float64) ** 2).sum() for leaf in jax.tree.leaves(params["model"]["decoder"]))
    np.testing.assert_allclose(out.metrics["latent_norm"], 0.5 * (z**2).sum(axis=-1), rtol=1e-5)
    np.testing.assert_allclose(out.metrics["decoder_penalty"], squares, rtol=1e-5)
    expected = reconstruction + 0.2 * 0.5 * (z**2).sum(axis=-1) + 0.03 * squares
    np.testing.assert_allclose(out.losses["model"], expected, rtol=1e-5)


def test_rae_gradient_penalty_is_the_squared_jacobian_of_the_decoder(params, assert_mean):
    objective = tools.make("rae", tools.POINT, penalty="gradient", weight=0.3, latent_weight=0.0)
    loss = jax.vmap(lambda key: objective.loss(params, {}, {"x": tools.X}, key, tools.CTX))
    out = jax.jit(loss)(jax.random.split(jax.random.key(0), 4000))
    jacobian = finite_difference(lambda z: tools.decoded(params["model"], z), tools.encoded(params["model"], tools.X))
    assert_mean(out.metrics["decoder_penalty"], (jacobian**2).sum(axis=(1, 2)))
    expected = out.metrics["reconstruction"] + 0.3 * out.metrics["decoder_penalty"]
    np.testing.assert_allclose(out.losses["model"], expected, rtol=1e-5)


def test_without_a_transform_the_model_is_used_as_trained(params):
    objective = tools.make("rae", tools.POINT)
    assert objective.init(jax.random.key(0))[1] == {}
    assert objective.model_params(params, {}) is params["model"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [("denoising", {"noise": "mask"}, "Did you mean 'masking'"), ("denoising", {"level": 1.1}, "level is 1.1"),
     ("denoising", {"noise": "gaussian", "level": -0.1}, "0 or more"),
     ("contractive", {"weight": -1.0}, "weight is -1"),
     ("denoising", {"noise": "salt_and_pepper", "level": float("nan")}, "level is nan"),
     ("rae", {"penalty": "l1"}, "Did you mean 'l2'"), ("rae", {"weight": -1.0}, "weight is -1"),
     ("rae", {"latent_weight": -1.0}, "latent_weight is -1")],
)  # fmt: skip
def test_bad_options_are_refused(name, options, message):
    with pytest.raises(UserError, match=message):
        tools.make(name, tools.POINT, **options)


@pytest.mark.parametrize(
    ("name", "model", "options", "message"),
    [("contractive", tools.gumbel_model, {}, "codes change in steps"), ("rae", tools.small, {}, "posterior 'delta'"),
     ("rae", tools.gumbel_model, {}, "posterior 'delta'"),
     ("denoising", lambda: tools.small(likelihoods.poisson), {"noise": "gaussian"}, "objective.noise=masking")],
)  # fmt: skip
def test_models_that_the_mathematics_forbids_are_refused(name, model, options, message):
    with pytest.raises(UserError, match=message):
        tools.make(name, model(), **options)
