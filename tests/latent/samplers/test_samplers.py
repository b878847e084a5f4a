"""Samplers after training: what they draw is as the codes they were fitted to, in the right space."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from objective_tools import X, small
from slow_cases import fast

from jaxvae import likelihoods, networks, posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.distributions import nearest_code, spaces
from jaxvae.distributions.poincare import expmap0, logmap0
from jaxvae.latent import samplers
from jaxvae.latent.samplers.base import CHUNK
from jaxvae.losses import mmd
from jaxvae.models.base import centre, with_state
from jaxvae.models.vae import make_model

CURVATURE = 0.7
FEW = {"steps": 2}
QUICK = {
    "prior": {}, "gmm": {"components": 2}, "flow": {"num_flows": 2, "hidden": (4,), **FEW},
    "two_stage": {"hidden": (4,), **FEW}, "pseudo_inputs": {"components": 3},
    "autoregressive": {"hidden": (4,), **FEW},
}  # fmt: skip
ALWAYS, VECTORS = {"prior", "pseudo_inputs"}, {"gmm", "flow", "two_stage"}
MODELS = {
    "R^n": (posteriors.diagonal_gaussian, priors.standard_normal, ALWAYS | VECTORS),
    "R^n with a flow": (lambda d: posteriors.planar_flow(d, 2), priors.standard_normal, ALWAYS | VECTORS),
    "R^n with vamp": (posteriors.diagonal_gaussian, lambda d: priors.vamp((6,), (0.0, 1.0), 4), ALWAYS | VECTORS),
    "sphere": (posteriors.von_mises_fisher, priors.uniform_sphere, ALWAYS),
    "ball": (
        lambda d: posteriors.wrapped_normal(d, CURVATURE), lambda d: priors.wrapped_normal(d, CURVATURE),
        ALWAYS | VECTORS,
    ),
    "one-hot": (
        lambda d: posteriors.gumbel_softmax(d, 3), lambda d: priors.uniform_categorical(d, 3),
        ALWAYS | {"autoregressive"},
    ),
    "codebook": (
        lambda d: posteriors.vector_quantized(d, 5, 4), lambda d: priors.uniform_categorical(d, 5),
        ALWAYS | {"autoregressive"},
    ),
}  # fmt: skip


def key(seed):
    return jax.random.key(seed)


def of_space(space):
    posterior, prior, fitting = MODELS[space]
    model = small(posterior=posterior, prior=prior)
    params = with_state(model.init(key(0)), model.state.init(key(1)))
    if space == "codebook":  # or all inputs would begin with one code
        params["encoder"]["Dense_1"]["kernel"] = 30 * params["encoder"]["Dense_1"]["kernel"]
    return model, params, fitting


def of_draws(z):
    z = np.asarray(z, np.float32)
    return samplers.Codes(z, z, z)


EUCLIDEAN = small()
NOTHING = EUCLIDEAN.init(key(0))


def banana(num, seed):
    u = np.random.default_rng(seed).normal(size=(num, 2))
    return np.stack([u[:, 0], u[:, 0] ** 2 + 0.3 * u[:, 1]], axis=1).astype(np.float32)


def distance(a, b):
    return float(mmd(jnp.asarray(a), jnp.asarray(b), "rbf", 0.1))


@pytest.mark.parametrize(
    ("name", "options", "factor"),
    [("gmm", {}, 20), ("flow", {"hidden": (64, 64), "steps": 500}, 20),
     pytest.param("flow", {"kind": "coupling", "hidden": (64, 64), "steps": 500}, 20, marks=pytest.mark.slow),
     ("two_stage", {"hidden": (64, 64), "steps": 1500, "batch_size": 256}, 10)],
)  # fmt: skip
@pytest.mark.slow
def test_densities_are_far_nearer_to_a_banana_than_a_normal_is(name, options, factor):
    scale = np.asarray([5.0, 0.1], np.float32)  # of its dimensions, and no business of a sampler
    draw = samplers.SAMPLERS[name](**options).fit(EUCLIDEAN, NOTHING, of_draws(banana(6000, 0) * scale + 1), key(1))
    held_out, drawn = banana(2000, 1), (np.asarray(draw(key(2), 2000)) - 1) / scale
    moments = np.random.default_rng(2).normal(size=(2000, 2)) @ np.linalg.cholesky(np.cov(held_out.T)).T
    normal = distance(held_out.mean(axis=0) + moments.astype(np.float32), held_out)
    assert normal > 0.02
    assert distance(drawn, held_out) < normal / factor


@pytest.mark.parametrize("name", ["gmm", pytest.param("flow", marks=pytest.mark.slow)])
def test_draws_have_the_moments_of_a_correlated_gaussian(name, assert_mean):
    rng, covariance = np.random.default_rng(0), np.asarray([[1.0, 1.6], [1.6, 4.0]])
    codes = rng.multivariate_normal([3, -1], covariance, 20_000)
    options = {"gmm": {"components": 1}, "flow": {"num_flows": 2, "hidden": (32,), "steps": 800}}[name]
    draw = samplers.SAMPLERS[name](**options).fit(EUCLIDEAN, NOTHING, of_draws(codes), key(1))
    white = (np.asarray(draw(key(2), 4000), np.float64) - [3, -1]) @ np.linalg.inv(np.linalg.cholesky(covariance)).T
    sigmas = 5 if name == "gmm" else 8  # the flow's own error is about that of 4,000 draws
    assert_mean(white, 0, sigmas)
    assert_mean(white[:, 0] * white[:, 1], 0, sigmas)
    assert_mean(white**2, 1, sigmas)


MEANS = np.asarray([[-4.0, 0.0], [3.0, 3.0], [3.0, -3.0]])
SPREADS = np.asarray([0.3, 0.6, 1.0])


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_gmm_recovers_a_mixture_and_temperature_scales_the_spread_of_its_components(covariance):
    rng = np.random.default_rng(0)
    index = rng.choice(3, 6000, p=[0.2, 0.3, 0.5])
    codes = MEANS[index] + SPREADS[index, None] * rng.normal(size=(6000, 2))
    draw = samplers.gmm(3, covariance).fit(EUCLIDEAN, NOTHING, of_draws(codes), key(1))
    for temperature in (0.0, 0.5, 1.0):
        z = np.asarray(draw(key(2), 6000, temperature), np.float64)
        nearest = np.argmin(np.linalg.norm(z[:, None] - MEANS, axis=-1), axis=1)
        share = np.bincount(nearest, minlength=3) / 6000
        assert_allclose(share, [0.2, 0.3, 0.5], atol=0.03)  # 4 sigma of 6,000 draws from weights fitted to 6,000
        for i in range(3):
            own = z[nearest == i]
            assert_allclose(own.mean(axis=0), MEANS[i], atol=0.11)
            assert_allclose(own.std(axis=0), temperature * SPREADS[i], rtol=0.08, atol=1e-6)
    assert len(np.unique(np.asarray(draw(key(2), 6000, 0.0)), axis=0)) == 3


@pytest.mark.parametrize("name", ["flow", "two_stage"])
@pytest.mark.slow
def test_at_temperature_zero_a_learned_density_draws_its_centre_only(name):
    draw = samplers.SAMPLERS[name](**QUICK[name]).fit(EUCLIDEAN, NOTHING, of_draws(banana(50, 0)), key(1))
    whole, half, cold = (np.asarray(draw(key(2), 40, temperature)) for temperature in (1.0, 0.5, 0.0))
    assert_array_equal(cold, np.broadcast_to(cold[0], cold.shape))
    assert np.all(np.abs(half.std(axis=0) / whole.std(axis=0) - 0.5) < 0.2)


@pytest.mark.slow
def test_autoregressive_recovers_a_markov_chain_of_codes():
    """Codes of 3 kinds, each the next of the one before it with probability 0.8, else itself; the first is 0 or 1."""
    rng, length = np.random.default_rng(0), 5
    model = make_model(
        posteriors.gumbel_softmax(length, 3), priors.uniform_categorical(length, 3), likelihoods.bernoulli(),
        networks.mlp((8,)), data_shape=(6,),
    )  # fmt: skip
    first, moves = rng.choice(2, size=(6000, 1), p=[0.7, 0.3]), rng.random((6000, length - 1)) < 0.8
    codes = np.concatenate([first, first + np.cumsum(moves, axis=1)], axis=1) % 3
    sampler = samplers.autoregressive((32,), 4, steps=800)
    draw = sampler.fit(model, model.init(key(0)), of_draws(np.eye(3)[codes]), key(1))
    drawn = np.argmax(np.asarray(draw(key(2), 4000)), axis=-1)
    assert_allclose(np.mean(drawn[:, :1] == np.arange(3), axis=0), [0.7, 0.3, 0], atol=0.035)
    step = np.diff(drawn, axis=1) % 3
    for position in range(length - 1):
        for code in range(3):
            seen = step[drawn[:, position] == code, position]
            if len(seen) > 200:
                error = 4 * np.sqrt(0.16 / len(seen)) + 0.02  # of the draws, and of what was learned
                assert_allclose([np.mean(seen == 1), np.mean(seen == 2)], [0.8, 0], atol=error)
    cold = np.argmax(np.asarray(draw(key(3), 20, 0.0)), axis=-1)
    assert_array_equal(cold, np.broadcast_to(np.arange(length) % 3, cold.shape))


MORE = ("R^n with a flow", "R^n with vamp", "sphere", "ball", "one-hot")


@pytest.fixture(scope="module", params=[pytest.param(m, marks=[pytest.mark.slow] * (m in MORE)) for m in MODELS])
def encoded(request):
    model, params, fitting = of_space(request.param)
    x = np.concatenate([X, 1 - X, X**2, np.sqrt(X)])
    return model, params, fitting, x, samplers.encode_all(model, params, [x[:8], x[8:16], x[16:]], key(2), keep=10)


def lies_in_space(model, params, z):
    if model.latent.space == spaces.SPHERE:
        return np.allclose(np.linalg.norm(z, axis=-1), 1, atol=1e-5)
    if model.latent.space == spaces.ball(CURVATURE):
        return np.all(CURVATURE * np.sum(z**2, axis=-1) < 1)
    if model.latent.space == spaces.CODES:
        book = np.asarray(model.latent.codebook(params.get("posterior", {})))
        return np.array_equal(book[nearest_code(z, book)], z)
    return np.all(np.isfinite(z))


def test_encode_all_gives_centres_draws_and_some_of_the_inputs(encoded):
    model, params, _, x, codes = encoded
    assert codes.centres.shape == codes.draws.shape == (20, *model.latent_shape)
    assert_allclose(codes.centres, centre(model.encode(params, x)), rtol=1e-4, atol=1e-6)
    assert lies_in_space(model, params, codes.draws)
    kept = [int(np.flatnonzero((x == one).all(axis=1))[0]) for one in codes.inputs]
    assert len(set(kept)) == 10
    assert max(kept) > 9  # not the first ones


@pytest.mark.parametrize("name", fast(samplers.SAMPLERS, "prior", "gmm", "two_stage"))
def test_each_sampler_draws_in_the_models_space_or_is_refused(encoded, name):
    model, params, fitting, _, codes = encoded
    sampler = samplers.SAMPLERS[name](**QUICK[name])
    if name not in fitting:
        with pytest.raises(UserError, match=f"'{name}' does not fit latents in .*: prior, pseudo_inputs"):
            sampler.fit(model, params, codes, key(3))
        return
    draw = sampler.fit(model, params, codes if sampler.needs_codes else None, key(3))
    z, again = np.asarray(draw(key(4), 30)), sampler.fit(model, params, codes, key(3))(key(4), 30)
    assert z.shape == (30, *model.latent_shape)
    assert lies_in_space(model, params, z)
    assert len(np.unique(z, axis=0)) > 1
    assert_array_equal(z, again)
    assert np.any(z != np.asarray(draw(key(5), 30)))
    with pytest.raises(UserError, match=r"temperature is -0\.5"):
        draw(key(4), 30, -0.5)
    if name in ALWAYS and model.latent.space != spaces.EUCLIDEAN:
        with pytest.raises(UserError, match=r"temperature is 0\.5, but latents in .* take only 1"):
            draw(key(4), 30, 0.5)
    else:
        assert lies_in_space(model, params, np.asarray(draw(key(4), 30, 0.5)))


@pytest.mark.slow
def test_prior_and_pseudo_inputs_of_a_vamp_are_one_distribution(assert_mean):
    model, params, _ = of_space("R^n with vamp")
    params["encoder"]["Dense_1"]["kernel"] = 5 * params["encoder"]["Dense_1"]["kernel"]
    mixture = model.prior(params)
    draws = {name: samplers.SAMPLERS[name]().fit(model, params, None, key(3)) for name in ("prior", "pseudo_inputs")}
    for i, draw in enumerate(draws.values()):
        z = np.asarray(draw(key(i), 4000))
        assert_mean(z, mixture.mean)
        assert_mean((z - mixture.mean) ** 2, mixture.variance)
    centres = np.asarray(mixture.component_distribution.mean)
    cold = np.asarray(draws["pseudo_inputs"](key(4), 60, 0.0))
    assert_allclose(np.min(np.linalg.norm(cold[:, None] - centres, axis=-1), axis=1), 0, atol=1e-5)
    assert len(np.unique(cold.round(4), axis=0)) == 4
    assert_allclose(draws["prior"](key(4), 5, 0.0), np.broadcast_to(mixture.mean, (5, 2)), atol=1e-6)


@pytest.mark.slow
def test_pseudo_inputs_of_training_examples_are_their_posteriors(assert_mean):
    codes = samplers.encode_all(EUCLIDEAN, NOTHING, [X], key(2))
    draw = samplers.pseudo_inputs(4).fit(EUCLIDEAN, NOTHING, codes, key(3))
    q = EUCLIDEAN.encode(NOTHING, codes.inputs[:4])
    z = np.asarray(draw(key(4), 6000))
    assert_mean(z, np.mean(q.mean, axis=0))
    assert_mean(z**2, np.mean(q.variance + q.mean**2, axis=0))
    cold = np.asarray(draw(key(5), 50, 0.0))
    assert_allclose(np.min(np.linalg.norm(cold[:, None] - q.mean, axis=-1), axis=1), 0, atol=1e-6)


@pytest.mark.slow
def test_on_a_ball_the_mixture_is_one_of_tangent_vectors(assert_mean):
    model, params, _ = of_space("ball")
    rng, mean, scale = np.random.default_rng(0), np.asarray([0.4, -0.8]), np.asarray([0.2, 0.5])
    codes = expmap0(jnp.asarray(mean + scale * rng.normal(size=(20_000, 2)), jnp.float32), CURVATURE)
    draw = samplers.gmm(1).fit(model, params, of_draws(codes), key(1))
    white = (np.asarray(logmap0(draw(key(2), 4000), CURVATURE)) - mean) / scale
    assert_mean(white, 0, 5)
    assert_mean(white**2, 1, 5)
    assert_allclose(logmap0(draw(key(2), 3, 0.0), CURVATURE), np.broadcast_to(mean, (3, 2)), atol=0.02)


def test_samples_are_decoded_means_in_chunks(random_like):
    params = random_like(EUCLIDEAN.init, key(0))
    draw = samplers.prior().fit(EUCLIDEAN, params, None, key(0))
    x = samplers.sample_with(EUCLIDEAN, params, draw, key(1), CHUNK + 3, 0.5)
    assert x.shape == (CHUNK + 3, 6)
    assert_array_equal(x[:5], samplers.sample_with(EUCLIDEAN, params, draw, key(1), 5, 0.5))
    z = draw(jax.random.fold_in(key(1), 1), CHUNK, 0.5)
    assert_allclose(x[CHUNK:], EUCLIDEAN.decode(params, z[:3]).mean, rtol=1e-5)
    with pytest.raises(UserError, match=r"sample\.num is 0"):
        samplers.sample_with(EUCLIDEAN, params, draw, key(1), 0)


def test_a_dimension_without_spread_stays_so():
    codes = np.concatenate([banana(200, 0), np.full((200, 1), 7.0)], axis=1)[:, 1:]
    z = np.asarray(samplers.gmm(2).fit(EUCLIDEAN, NOTHING, of_draws(codes), key(1))(key(2), 50))
    assert_allclose(z[:, 1], 7, atol=0.01)


@pytest.mark.parametrize(
    ("build", "message"),
    [(lambda: samplers.gmm(60).fit(EUCLIDEAN, NOTHING, of_draws(banana(50, 0)), key(1)), "components=60.*only 50"),
     (lambda: samplers.encode_all(EUCLIDEAN, NOTHING, [], key(1)), "no batch"),
     (lambda: samplers.encode_all(EUCLIDEAN, NOTHING, [X * np.inf], key(1)), "NaN or infinite")],
)  # fmt: skip
def test_mistakes_are_refused(build, message):
    with pytest.raises(UserError, match=message):
        build()
