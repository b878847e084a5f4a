"""Likelihoods, posteriors, priors, networks, and the builder that names them."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import integrate, special, stats

from jaxvae import likelihoods, losses, networks, posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.data.spec import DataSpec
from jaxvae.experiment import build
from jaxvae.models.base import reparameterize

RNG = np.random.default_rng(0)
OUTPUTS = RNG.normal(size=(3, 4)).astype(np.float32)
X = RNG.uniform(size=(3, 4)).astype(np.float32)
MEAN, LOGVAR = np.array([[0.5, -1.0], [2.0, 0.0]], np.float32), np.array([[0.0, -1.0], [0.7, -3.0]], np.float32)
POSTERIOR = posteriors.diagonal_gaussian(2).build({}, np.concatenate([MEAN, LOGVAR], axis=-1), None)
ACTIVATIONS = {"identity": lambda x: x, "sigmoid": special.expit, "tanh": np.tanh}


def assert_moments(distribution, mean, variance, assert_mean, num=20_000):
    samples = np.asarray(distribution.sample(jax.random.key(0), (num,)), np.float64)
    assert_mean(samples, mean)
    assert_mean((samples - np.asarray(mean)) ** 2, variance)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("variance", [1.0, 0.05, 3.0])
def test_gaussian_likelihood_is_scipys_normal(activation, variance):
    got = likelihoods.gaussian(activation, variance).build({}, OUTPUTS)
    reference = stats.norm(ACTIVATIONS[activation](OUTPUTS.astype(np.float64)), variance**0.5)
    np.testing.assert_allclose(got.log_prob(X), reference.logpdf(X), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(got.mean, reference.mean(), rtol=1e-5)


@pytest.mark.parametrize("variance", [0.05, 1.0])
def test_gaussian_likelihood_integrates_to_one(variance):
    density = jax.jit(lambda x: jnp.exp(likelihoods.gaussian("tanh", variance).build({}, jnp.float32(0.7)).log_prob(x)))
    total, _ = integrate.quad(lambda x: float(density(x)), -10, 10, points=[np.tanh(0.7)], epsabs=1e-5, epsrel=1e-5)
    assert total == pytest.approx(1, abs=1e-5)


def test_bernoulli_likelihood_on_binary_data_is_numpyros():
    binary = np.round(X)
    got, reference = likelihoods.bernoulli().build({}, OUTPUTS), dist.BernoulliLogits(OUTPUTS)
    np.testing.assert_allclose(got.log_prob(binary), reference.log_prob(binary), rtol=1e-5)
    np.testing.assert_allclose(got.mean, special.expit(OUTPUTS), rtol=1e-5)


def test_bernoulli_likelihood_sums_to_one_over_all_images():
    images = np.array(list(itertools.product([0.0, 1.0], repeat=4)), np.float32).reshape(16, 2, 2)
    log_prob = likelihoods.bernoulli().build({}, 2 * OUTPUTS[0].reshape(2, 2)).to_event(2).log_prob(images)
    assert log_prob.shape == (16,)
    assert float(jnp.exp(log_prob).sum()) == pytest.approx(1, rel=1e-5)


def test_bernoulli_likelihood_on_grey_data_is_the_cross_entropy():
    exact = OUTPUTS.astype(np.float64)
    reference = X * special.log_expit(exact) + (1 - X) * special.log_expit(-exact)
    np.testing.assert_allclose(likelihoods.bernoulli().build({}, OUTPUTS).log_prob(X), reference, rtol=1e-5)


def test_samples_of_the_likelihoods_have_their_moments(assert_mean):
    p = special.expit(OUTPUTS.astype(np.float64))
    assert_moments(likelihoods.bernoulli().build({}, OUTPUTS), p, p * (1 - p), assert_mean)
    mean = np.tanh(OUTPUTS.astype(np.float64))
    assert_moments(likelihoods.gaussian("tanh", 0.3).build({}, OUTPUTS), mean, np.full_like(mean, 0.3), assert_mean)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_squared_error_passes_through_transformations(activation):
    likelihood = likelihoods.squared_error(activation)
    assert not likelihood.is_density
    mean = ACTIVATIONS[activation](OUTPUTS.astype(np.float64))
    built = jax.jit(lambda o: likelihood.build({}, o).to_event(1))(OUTPUTS)
    np.testing.assert_allclose(built.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(built.log_prob(X), -((X - mean) ** 2).sum(axis=-1), rtol=1e-5)
    by_row = jax.vmap(lambda d, x: d.log_prob(x))(jax.vmap(lambda o: likelihood.build({}, o).to_event(1))(OUTPUTS), X)
    np.testing.assert_allclose(by_row, built.log_prob(X), rtol=1e-6)
    samples = built.sample(jax.random.key(0), (2,))
    np.testing.assert_array_equal(samples, np.stack([built.mean] * 2))


@pytest.mark.parametrize("variance", [0.0, -1.0, math.nan])
def test_gaussian_likelihood_refuses_a_variance_not_above_zero(variance):
    with pytest.raises(UserError, match="variance"):
        likelihoods.gaussian(variance=variance)


@pytest.mark.parametrize("likelihood", [likelihoods.gaussian, likelihoods.squared_error])
def test_unknown_output_activation_names_the_nearest(likelihood):
    with pytest.raises(UserError, match="Did you mean 'sigmoid'"):
        likelihood(activation="sigmiod")


def test_diagonal_gaussian_is_scipys_normal(assert_mean):
    std = np.exp(LOGVAR.astype(np.float64) / 2)
    np.testing.assert_array_equal(POSTERIOR.mean, MEAN)
    np.testing.assert_allclose(POSTERIOR.variance, std**2, rtol=1e-5)
    z = RNG.normal(size=(7, 2, 2)).astype(np.float32)
    np.testing.assert_allclose(POSTERIOR.log_prob(z), stats.norm.logpdf(z, MEAN, std).sum(axis=-1), rtol=1e-5)
    assert_moments(POSTERIOR, MEAN, std**2, assert_mean)


def test_diagonal_gaussian_samples_what_it_scores(assert_mean):
    z = POSTERIOR.sample(jax.random.key(1), (20_000,))
    entropy = 0.5 * (1 + np.log(2 * np.pi) + LOGVAR.astype(np.float64)).sum(axis=-1)
    assert_mean(-POSTERIOR.log_prob(z), entropy)


def test_pathwise_gradients_are_those_of_the_expectation(assert_mean):
    def draw(power, mean, logvar, key):
        posterior = posteriors.diagonal_gaussian(2).build({}, jnp.concatenate([mean, logvar], axis=-1), None)
        return jnp.sum(reparameterize(key, posterior) ** power)

    @functools.partial(jax.jit, static_argnums=0)
    def gradients(power):
        keys = jax.random.split(jax.random.key(2), 20_000)
        return jax.vmap(lambda key: jax.grad(draw, (1, 2))(power, MEAN, LOGVAR, key))(keys)

    to_mean, to_logvar = gradients(1)  # of E[z], exactly 1 in each sample, and 0
    np.testing.assert_array_equal(to_mean, np.ones_like(to_mean))
    assert_mean(to_logvar, 0)
    to_mean, to_logvar = gradients(2)  # of E[z^2] = mean^2 + exp(logvar)
    assert_mean(to_mean, 2 * MEAN)
    assert_mean(to_logvar, np.exp(LOGVAR))


def test_delta_is_its_outputs():
    posterior = posteriors.delta(4)
    assert not posterior.is_density
    built = posterior.build({}, OUTPUTS, None)
    np.testing.assert_array_equal(built.mean, OUTPUTS)
    np.testing.assert_array_equal(reparameterize(jax.random.key(0), built), OUTPUTS)
    np.testing.assert_array_equal(reparameterize(jax.random.key(0), built, 2), np.stack([OUTPUTS] * 2))
    gradient = jax.grad(lambda o: jnp.sum(reparameterize(jax.random.key(0), posterior.build({}, o, None), 3)))(OUTPUTS)
    np.testing.assert_array_equal(gradient, 3 * np.ones_like(OUTPUTS))


def test_standard_normal_prior(assert_mean):
    prior = priors.standard_normal(3).build({}, None)
    assert (prior.batch_shape, prior.event_shape) == ((), (3,))
    z = RNG.normal(size=(5, 3)).astype(np.float32)
    np.testing.assert_allclose(prior.log_prob(z), stats.norm.logpdf(z).sum(axis=-1), rtol=1e-5)
    assert_moments(prior, np.zeros(3), np.ones(3), assert_mean)


def mlp_reference(params, x, activation, num_inputs):
    x = x.reshape(*x.shape[: x.ndim - num_inputs], -1)
    layers = [params[f"Dense_{i}"] for i in range(len(params))]
    for layer in layers[:-1]:
        x = activation(x @ layer["kernel"] + layer["bias"])
    return x @ layers[-1]["kernel"] + layers[-1]["bias"]


def test_mlp_is_the_product_of_its_matrices_and_the_decoder_its_mirror(random_like):
    network = networks.mlp((7, 5), "tanh")
    for module, inputs, shape, widths in (
        (network.encoder((3, 4), 6), (3, 4), (6,), (12, 7, 5, 6)),
        (network.decoder((2,), (3, 4)), (2,), (3, 4), (2, 5, 7, 12)),
    ):
        params = random_like(module.init, jax.random.key(0), jnp.zeros(inputs))["params"]
        assert [params[f"Dense_{i}"]["kernel"].shape for i in range(3)] == list(itertools.pairwise(widths))
        x = RNG.normal(size=(2, *inputs)).astype(np.float32)
        reference = mlp_reference(params, x, np.tanh, len(inputs)).reshape(2, *shape)
        np.testing.assert_allclose(jax.jit(module.apply)({"params": params}, x), reference, rtol=1e-4, atol=1e-5)


def test_a_new_network_starts_near_the_prior_and_near_grey():
    network, x = networks.mlp((400,)), RNG.uniform(size=(10, 28, 28, 1)).astype(np.float32)

    @jax.jit
    def run(*keys):
        encoder, decoder = network.encoder(x.shape[1:], 40), network.decoder((20,), x.shape[1:])
        mean, logvar = jnp.split(encoder.init_with_output(keys[0], x)[0], 2, axis=-1)
        return losses.kl_standard_normal(mean, logvar), decoder.init_with_output(keys[1], mean)[0]

    kl, logits = run(*jax.random.split(jax.random.key(0)))
    assert np.all(kl < 1)
    assert np.all(kl > 0)
    assert np.abs(logits).max() < 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [({"hidden": (4, 0)}, "hidden"), ({"hidden": (2.5,)}, "hidden"), ({"hidden": 400}, "hidden"),
     ({"activation": "rleu"}, "Did you mean 'relu'")],
)  # fmt: skip
def test_mlp_refuses_bad_options(options, message):
    with pytest.raises(UserError, match=message):
        networks.mlp(**options)


@pytest.mark.parametrize("kind", build.PARTS)
def test_builder_lists_the_known_names_and_the_nearest(kind):
    known = sorted(build.PARTS[kind])
    with pytest.raises(UserError) as error:
        build.part(kind, {"name": known[-1] + "x"})
    assert f"Did you mean '{known[-1]}'?" in str(error.value)
    assert ", ".join(known) in str(error.value)
    with pytest.raises(UserError, match=f"Unknown {kind} 'None'"):
        build.part(kind, {})


@pytest.mark.parametrize(
    ("kind", "spec", "message"),
    [("likelihood", {"name": "gaussian", "varience": 1.0}, "Did you mean 'variance'"),
     ("likelihood", {"name": "gaussian", "variance": "1"}, "type float"),
     ("likelihood", {"name": "gaussian", "variance": True}, "type float"),
     ("likelihood", {"name": "gaussian", "variance": math.nan}, "finite"),
     ("likelihood", {"name": "gaussian", "activation": 1}, "type str"),
     ("objective", {"name": "elbo", "num_samples": 1.5}, "type int"),
     ("objective", {"name": "elbo", "num_samples": True}, "type int"),
     ("kl", {"name": "constant", "beta": math.inf}, "finite"),
     ("objective", {"name": "elbo", "model": None}, "Unknown option"),
     ("posterior", {"name": "delta", "latent_dim": 3}, "Unknown option"),
     ("schedule", {"name": "cosine", "peak": 1.0}, "Unknown option"),
     ("optimizer", {"name": "adam", "learning_rate": 1.0}, "Unknown option"),
     ("optimizer", {"name": "adam", "b1": math.nan}, "finite"),
     ("optimizer", {"name": "adamw", "mask": 5}, "Unknown option"),
     ("optimizer", {"name": "sgd", "momentum": "high"}, "type float")],
)  # fmt: skip
def test_builder_refuses_options(kind, spec, message):
    with pytest.raises(UserError, match=message):
        build.part(kind, spec)


def test_builder_binds_options():
    likelihood = build.part("likelihood", {"name": "gaussian", "variance": 4, "activation": "tanh"})()
    np.testing.assert_allclose(likelihood.build({}, OUTPUTS).variance, 4.0)
    np.testing.assert_allclose(likelihood.build({}, OUTPUTS).mean, np.tanh(OUTPUTS), rtol=1e-5)


@pytest.mark.parametrize(("pixel_range", "name"), [((-1.0, 1.0), "bernoulli"), ((-1.0, 1.0), "gaussian")])
def test_data_outside_the_support_of_the_likelihood_are_refused(pixel_range, name):
    config = {
        "data": {"pixel_range": pixel_range},
        "model": {"latent_dim": 2, "posterior": {"name": "delta"}, "prior": {"name": "standard_normal"},
                  "likelihood": {"name": name}},
        "network": {"name": "mlp"},
    }  # fmt: skip
    if name == "gaussian":
        assert build.model(config, DataSpec((4, 4, 1))).data_shape == (4, 4, 1)
    else:
        with pytest.raises(UserError, match="pixel_range"):
            build.model(config, DataSpec((4, 4, 1)))
