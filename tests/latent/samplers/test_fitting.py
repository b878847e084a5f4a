"""How samplers learn: the best parameters on held-out codes, flows that throw no draw far away, what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxvae import likelihoods, networks, posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.latent import samplers
from jaxvae.latent.samplers import densities, fitting, flows
from jaxvae.latent.samplers.base import compiled
from jaxvae.models.vae import make_model


# A coupling needs more codes: with 200 it stays 0.7 nats below a normal distribution fitted to them, and too wide.
@pytest.mark.slow
@pytest.mark.parametrize(("kind", "num"), [("autoregressive", 200), ("coupling", 1000)])
def test_a_flow_that_is_fitted_to_few_codes_throws_none_far_away(kind, num, monkeypatch):
    """More steps than it takes to learn some codes by heart."""
    dim, drawn = 10, 4096
    model = make_model(
        posteriors.diagonal_gaussian(dim), priors.standard_normal(dim), likelihoods.bernoulli(), networks.mlp((4,)),
        data_shape=(6,),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    factor = np.tril(0.2 * rng.normal(size=(dim, dim)), -1) + np.eye(dim)
    codes, held_out = (rng.normal(size=(n, dim)) @ factor.T for n in (num, 4000))
    fitted = {}

    def spy(loss, *args):
        fitted["loss"], fitted["params"] = loss, fitting.minimise(loss, *args)
        return fitted["params"]

    monkeypatch.setattr(flows, "minimise", spy)
    draw = samplers.flow(kind, hidden=(64, 64), steps=1000).fit(
        model, {}, samplers.Codes(codes, codes, codes), jax.random.key(1)
    )
    z = np.asarray(draw(jax.random.key(2), drawn), np.float64)
    assert np.isfinite(z).all()
    mean, covariance = codes.mean(axis=0), np.cov(codes.T)
    white = (z - mean) @ np.linalg.inv(np.linalg.cholesky(covariance)).T
    # Standard errors of the draws and of the codes, and 0.1 for what early stopping leaves unlearned.
    error = np.sqrt(1 / drawn + 1 / num)
    np.testing.assert_array_less(np.abs(white.mean(axis=0)), 4 * error + 0.1)
    away = np.abs(np.cov(white.T) - np.eye(dim))
    np.testing.assert_array_less(away, 4 * error * np.sqrt(1 + np.eye(dim)) + 0.1)
    standardised = (held_out - mean) / codes.std(axis=0)
    log_p = -np.asarray(fitted["loss"](fitted["params"], np.float32(flows.HEADROOM * standardised), None), np.float64)
    log_p += dim * np.log(flows.HEADROOM) - np.log(codes.std(axis=0)).sum()
    normal = stats.multivariate_normal(mean, covariance).logpdf(held_out)
    assert np.mean(log_p) > np.mean(normal) - 0.05 * dim  # nats: a twentieth of one for each dimension


def test_the_best_parameters_on_held_out_rows_are_kept():
    """A number for all rows, which carries over to held-out ones, and one for each row, which does not."""
    rng = np.random.default_rng(0)
    data = np.stack([np.arange(40), rng.normal(size=40)], axis=1).astype(np.float32)

    def loss(params, rows, key):
        del key
        return jnp.square(params["all"] + params["row"][rows[:, 0].astype(int)] - rows[:, 1])

    start = {"all": jnp.zeros(()), "row": jnp.full(40, 3.0)}
    best = fitting.minimise(loss, start, jnp.asarray(data), jax.random.key(1), 300, 16, 0.1)
    order = jax.random.permutation(jax.random.split(jax.random.key(1), 3)[0], jnp.asarray(data))
    held_out = [float(jnp.mean(loss(params, order[:4], None))) for params in (start, best)]
    assert held_out[1] < held_out[0]
    np.testing.assert_array_equal(best["row"][np.asarray(order[:4, 0], int)], 3.0)  # never trained on


def test_the_second_vae_draws_with_the_noise_of_its_likelihood(monkeypatch, assert_mean):
    """A decoder that ignores its latents: what is left are its biases and the learned variance."""
    model = make_model(
        posteriors.diagonal_gaussian(2), priors.standard_normal(2), likelihoods.bernoulli(), networks.mlp((4,)),
        data_shape=(6,),
    )  # fmt: skip
    bias, variance = np.array([0.5, -1.0], np.float32), 0.3

    def fixed(loss, params, *args):
        params = jax.tree.map(jnp.zeros_like, params)
        params["decoder"]["Dense_1"]["bias"] = jnp.asarray(bias)
        params["likelihood"]["log_variance"] = jnp.log(variance)
        return params

    monkeypatch.setattr(densities, "minimise", fixed)
    codes = np.array([[1.0, -3.0], [5.0, 3.0]], np.float32)  # of means 3, 0 and deviations 2, 3
    draw = samplers.two_stage((4,)).fit(model, {}, samplers.Codes(codes, codes, codes), jax.random.key(0))
    for temperature in (1.0, 0.5):
        white = (np.asarray(draw(jax.random.key(1), 20_000, temperature), np.float64) - [3, 0]) / [2, 3] - bias
        assert_mean(white, 0)
        assert_mean(white**2, temperature**2 * variance)


def test_draws_that_are_not_finite_are_refused():
    draw = compiled("flow", lambda tree, key, num, temperature: jnp.full((num, 2), temperature / tree), jnp.zeros(()))
    with pytest.raises(UserError, match=r"5 of 5 draws of the sampler 'flow' are NaN or infinite.*Take sample"):
        draw(jax.random.key(0), 5)
