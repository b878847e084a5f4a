"""The four functions of a model, and what is drawn with them."""

import math

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import pytest
from scipy import stats

from jaxvae import distributions, likelihoods, networks, objectives, posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.data.spec import DataSpec
from jaxvae.distributions.kl import analytic_kl
from jaxvae.experiment import build, defaults
from jaxvae.models.sampling import reconstruct, sample
from jaxvae.models.vae import make_model

RNG = np.random.default_rng(0)
LATENT = 3


def small(data_shape=(6,), likelihood=likelihoods.bernoulli, posterior=posteriors.diagonal_gaussian, **options):
    parts = posterior(LATENT), priors.standard_normal(LATENT), likelihood(), networks.mlp((8,), "tanh")
    return make_model(*parts, data_shape=data_shape, **options)


def data(*shape):
    return RNG.uniform(size=shape).astype(np.float32)


@pytest.mark.parametrize(("shape", "leading"), [((6,), ()), ((8, 8, 1), (4,)), ((5, 7, 3), (2, 4))])
def test_encode_and_decode_map_each_example_by_itself(shape, leading, random_like):
    model, x, z = small(shape), data(*leading, *shape), data(*leading, LATENT)
    params = random_like(model.init, jax.random.key(0))

    @jax.jit
    def run(params):
        q, p = model.encode(params, x), model.decode(params, z)
        codes = jax.vmap(lambda x: model.encode(params, x).mean)(x.reshape(-1, *shape))
        images = jax.vmap(lambda z: model.decode(params, z).mean)(z.reshape(-1, LATENT))
        return q, p, q.mean, p.mean, codes, images, p.log_prob(x)

    q, p, *means, codes, images, log_prob = run(params)
    assert (q.batch_shape, q.event_shape) == (leading, (LATENT,))
    assert (p.batch_shape, p.event_shape) == (leading, shape)
    assert log_prob.shape == leading
    for together, one_by_one in zip(means, (codes, images), strict=True):
        np.testing.assert_allclose(np.reshape(together, one_by_one.shape), one_by_one, rtol=1e-4, atol=1e-5)
        assert len(np.unique(one_by_one, axis=0)) == math.prod(leading)
    np.testing.assert_array_equal(run(params)[2], means[0])


def test_shapes_other_than_the_models_are_refused():
    model = small((8, 8, 1))
    params = jax.eval_shape(model.init, jax.random.key(0))
    for function, *args in (
        (model.encode, data(4, 64)),
        (model.decode, data(4, LATENT + 1)),
        (lambda params, x: model.forward(params, jax.random.key(0), {"x": x}), data(8, 8, 1)),
    ):
        with pytest.raises(AssertionError):
            jax.eval_shape(function, params, *args)


def test_context_conditions_encoder_and_decoder(random_like):
    model, x, z, context = small(context_dim=5), data(4, 6), data(2, 4, LATENT), np.eye(4, 5, dtype=np.float32)
    params = random_like(model.init, jax.random.key(0))

    @jax.jit
    def run(x, z, context):
        out = model.forward(params, jax.random.key(1), {"x": x, "context": context}, 2)
        again = model.decode(params, out.z, context).log_prob(x)
        return model.encode(params, x, context).mean, model.decode(params, z, context).mean, out.log_likelihood, again

    one, other, both = (map(np.asarray, run(*args)) for args in (
        (x, z, context), (x, z, context[::-1]), (x[::-1], z[:, ::-1], context[::-1])
    ))  # fmt: skip
    for a, b, c in list(zip(one, other, both, strict=True))[:2]:
        assert np.all(a != b)
        np.testing.assert_allclose(a, c[..., ::-1, :], rtol=1e-5)
    np.testing.assert_allclose(*list(map(np.asarray, run(x, z, context)))[2:], rtol=1e-5)


@pytest.mark.parametrize("latent_dim", [0, -1])
def test_a_latent_space_needs_a_dimension(latent_dim):
    config = defaults.get_config("test").to_dict()
    config["model"]["latent_dim"] = latent_dim
    with pytest.raises(UserError, match=f"latent_dim is {latent_dim}"):
        build.model(config, DataSpec((6,)))


@pytest.mark.parametrize(
    ("posterior", "likelihood", "densities"),
    [(posteriors.diagonal_gaussian, likelihoods.bernoulli, (True, True)),
     (posteriors.diagonal_gaussian, likelihoods.squared_error, (True, False)),
     (posteriors.delta, likelihoods.gaussian, (False, False))],
)  # fmt: skip
def test_a_model_knows_which_of_its_parts_are_densities(posterior, likelihood, densities):
    model = small((6,), likelihood, posterior)
    assert (model.latent.is_density, model.has_likelihood) == densities


def test_every_number_of_the_parameters_gets_a_gradient(random_like):
    objective, batch, ctx = (
        objectives.elbo(small((4, 2)), objectives.KL_WEIGHTS["constant"]()),
        {"x": data(5, 4, 2)},
        objectives.StepContext(0, 5),
    )
    params, _ = random_like(objective.init, jax.random.key(0))

    def loss(params, key):
        return objective.loss(params, {}, batch, key, ctx).losses["model"].mean()

    gradient = jax.jit(jax.grad(loss))(params, jax.random.key(1))["model"]
    assert set(gradient) == {"encoder", "decoder"}
    assert all(np.all(np.asarray(leaf) != 0) for leaf in jax.tree.leaves(gradient))


def test_forward_scores_the_latents_that_it_draws():
    out = jax.jit(lambda key: lg.MODEL.forward(lg.params(0.3, -0.2), key, {"x": lg.X}, 7)[4:8])(jax.random.key(0))
    z, *terms = (np.asarray(value, np.float64) for value in out)
    assert z.shape == (7, lg.BATCH, lg.LATENT)
    assert len(np.unique(z)) == z.size
    mean, variance = lg.posterior_moments(lg.params(0.3, -0.2), lg.X)
    references = (
        stats.norm.logpdf(lg.X, z @ lg.WEIGHT.T + lg.BIAS, lg.NOISE**0.5),
        stats.norm.logpdf(z),
        stats.norm.logpdf(z, mean, np.sqrt(variance)),
    )
    for term, reference in zip(terms, references, strict=True):
        np.testing.assert_allclose(term, reference.sum(axis=-1), rtol=1e-5, atol=1e-5)


def test_analytic_kl_is_the_mean_of_the_log_ratio(assert_mean):
    def run(key):
        out = lg.MODEL.forward(lg.params(0.5, 0.5), key, {"x": lg.X}, 20_000)
        return out.log_posterior - out.log_prior, analytic_kl(out.posterior, out.prior)

    log_ratio, kl = jax.jit(run)(jax.random.key(0))
    assert_mean(log_ratio, kl)
    mean, variance = (np.asarray(m, np.float64) for m in lg.posterior_moments(lg.params(0.5, 0.5), lg.X))
    np.testing.assert_allclose(kl, 0.5 * (mean**2 + variance - 1 - np.log(variance)).sum(axis=-1), rtol=1e-5)


def test_analytic_kl_without_a_closed_form_is_a_users_error():
    with pytest.raises(UserError, match="closed form"):
        analytic_kl(distributions.SquaredError(jnp.zeros(2)), priors.standard_normal(2).build({}, None))


def test_samples_have_the_moments_of_the_prior_pushed_through_the_decoder(assert_mean):
    draw = jax.jit(lambda key, temperature: sample(lg.MODEL, lg.params(), key, 20_000, temperature))
    for temperature in (1.0, 0.5):
        drawn = np.asarray(draw(jax.random.key(0), temperature), np.float64)
        assert_mean(drawn, lg.BIAS)
        centred = drawn - lg.BIAS
        assert_mean(centred[:, :, None] * centred[:, None], temperature**2 * lg.WEIGHT @ lg.WEIGHT.T)


def test_samples_at_temperature_zero_are_the_decoder_at_the_priors_mean(random_like):
    model = small((4, 2))
    params = random_like(model.init, jax.random.key(0))

    @jax.jit
    def run(key, temperature):
        return sample(model, params, key, 3, temperature), model.decode(params, jnp.zeros((3, LATENT))).mean

    np.testing.assert_allclose(*run(jax.random.key(1), 0.0), rtol=1e-6)
    assert np.all(np.not_equal(*run(jax.random.key(1), 1.0)))


def test_reconstruction_decodes_the_posterior_mean_or_a_draw(assert_mean):
    params, draw = lg.params(), lambda key=None: reconstruct(lg.MODEL, lg.params(), lg.X, key)
    mean, variance = (np.asarray(m, np.float64) for m in lg.posterior_moments(params, lg.X))
    exact = mean @ lg.WEIGHT.T + lg.BIAS
    np.testing.assert_allclose(jax.jit(draw)(), exact, rtol=1e-4, atol=1e-5)
    draws = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(0), 5000)), np.float64)
    assert_mean(draws, exact)
    assert_mean((draws - exact) ** 2, np.broadcast_to(lg.WEIGHT**2 @ variance, exact.shape))
