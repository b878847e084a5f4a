"""Imputation by importance sampling, and bounds on log p(x_observed), on a linear-Gaussian model with missing entries.

q(z|x_observed) is the exact posterior given the observed values, moved and made wider.
"""

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import numpyro.distributions as dist
import objective_tools as tools
import pytest
from scipy import stats

from jaxvae import likelihoods, losses, posteriors
from jaxvae.common.errors import UserError
from jaxvae.latent.imputation import importance, importance_imputation
from jaxvae.metrics.likelihood import importance_nll

MASK = np.asarray([[1, 0, 1, 0, 0], [1, 1, 1, 0, 1], [0, 0, 0, 0, 1], [1, 1, 1, 1, 1]], bool)
HOLES = np.where(MASK, lg.X, np.nan)
SHIFT, WIDER = 0.3, 1.4


def _encode(params, x, context=None, mask=None):
    seen = jnp.ones(x.shape) if mask is None else mask.astype(jnp.float32)
    weight = params["weight"]
    precision = jnp.eye(lg.LATENT) + jnp.einsum("...d,di,dj->...ij", seen, weight, weight) / lg.NOISE
    away = jnp.where(seen > 0, x - params["bias"], 0.0) @ weight / lg.NOISE
    covariance = jnp.linalg.inv(precision)
    mean = jnp.einsum("...ij,...j->...i", covariance, away)
    spread = jnp.sqrt(jnp.diagonal(covariance, axis1=-2, axis2=-1))
    return dist.MultivariateNormal(mean + SHIFT * spread, covariance * WIDER)


MODEL = lg.MODEL._replace(encode=_encode)
PARAMS = lg.params()


def log_px(x, mask):
    mean, covariance = lg.MARGINAL.mean[mask], lg.MARGINAL.cov[np.ix_(mask, mask)]
    return stats.multivariate_normal(mean, covariance).logpdf(x[mask])


EXACT = np.asarray([log_px(*row) for row in zip(lg.X, MASK, strict=True)])


def conditional(x, mask):
    """Mean and covariance of x_missing | x_observed, by the formula for a Gaussian's blocks."""
    mean, covariance = lg.MARGINAL.mean, lg.MARGINAL.cov
    gain = covariance[np.ix_(~mask, mask)] @ np.linalg.inv(covariance[np.ix_(mask, mask)])
    rest = covariance[np.ix_(~mask, ~mask)] - gain @ covariance[np.ix_(mask, ~mask)]
    return mean[~mask] + gain @ (x - mean)[mask], rest


def log_weights(num, samples):
    """Log importance weights `[num, samples, B]` of the observed values."""

    @jax.jit
    def one(key):
        out = MODEL.forward(PARAMS, key, {"x": HOLES.astype(np.float32), "mask": MASK}, samples)
        return out.log_likelihood + out.log_prior - out.log_posterior

    return jnp.stack([one(key) for key in jax.random.split(jax.random.key(0), num)])


@pytest.mark.slow
def test_bounds_lie_below_the_likelihood_of_observed_values_and_reach_it():
    weights = log_weights(50, 200)
    bounds = {k: np.asarray(jax.vmap(losses.iwae_bound)(weights.reshape(-1, k, 4)), np.float64)
              for k in (1, 5, 50)}  # fmt: skip
    gaps = []
    for values in bounds.values():
        error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
        np.testing.assert_array_less(values.mean(axis=0) - EXACT, 4 * error)
        gaps.append(EXACT - values.mean(axis=0))
    assert np.all(gaps[0] > 2 * gaps[1])
    assert np.all(gaps[1] > 2 * gaps[2])
    nll = jax.jit(lambda key: importance_nll(MODEL, PARAMS, key, HOLES, 20_000, mask=MASK))(jax.random.key(1))
    np.testing.assert_allclose(-nll, EXACT, atol=0.03)


def test_the_mean_and_the_draws_have_the_conditional_law():
    """Each row many times, with observed values kept; errors in units of their standard error."""
    many, draws = 200, 4
    x, mask = np.repeat(HOLES, many, axis=0), np.repeat(MASK, many, axis=0)
    found = importance_imputation(MODEL, PARAMS, jax.random.key(2), x, mask, num_samples=500, num_draws=draws)
    np.testing.assert_array_equal(np.asarray(found.mean)[mask], x[mask])
    np.testing.assert_array_equal(np.asarray(found.draws)[:, mask], np.stack([x[mask]] * draws))
    assert np.all((found.effective > 50) & (found.effective <= 500))
    for i, seen in enumerate(MASK[:3]):
        rows = slice(i * many, (i + 1) * many)
        mean, covariance = conditional(lg.X[i], seen)
        means = np.asarray(found.mean, np.float64)[rows][:, ~seen] - mean
        drawn = np.asarray(found.draws, np.float64)[:, rows][..., ~seen].reshape(-1, (~seen).sum()) - mean
        products = drawn[:, :, None] * drawn[:, None] - covariance
        for values in (means, drawn, products.reshape(len(products), -1)):
            assert np.max(np.abs(values.mean(axis=0)) / (values.std(axis=0, ddof=1) / np.sqrt(len(values)))) < 4.0
        prior = lg.MARGINAL.mean[~seen] - mean  # so the test has the power to tell
        assert np.max(np.abs(prior) / (means.std(axis=0, ddof=1) / np.sqrt(many))) > 20.0


@pytest.mark.slow
def test_the_number_of_samples_at_a_time_changes_nothing_but_the_draws(monkeypatch):
    def run():
        return importance_imputation(MODEL, PARAMS, jax.random.key(3), HOLES, MASK, 3000, 2)

    whole = run()
    monkeypatch.setattr(importance, "AT_A_TIME", 20 * 7)
    jax.clear_caches()
    parts = run()
    np.testing.assert_allclose(whole.mean, parts.mean, atol=0.2)
    np.testing.assert_allclose(whole.effective, parts.effective, rtol=0.1)
    assert whole.draws.shape == parts.draws.shape == (2, *lg.X.shape)


def test_what_cannot_impute_is_refused():
    for options in ({"num_samples": 0}, {"num_draws": -1}):
        with pytest.raises(UserError, match="must be at least 1 and 0"):
            importance_imputation(MODEL, PARAMS, jax.random.key(0), HOLES, MASK, **options)
    for model in (
        tools.small(lambda: likelihoods.squared_error()),
        tools.small(posterior=posteriors.delta),
    ):
        with pytest.raises(UserError, match="dens"):
            importance_imputation(model, model.init(jax.random.key(0)), jax.random.key(1), tools.X, np.arange(6) < 3)
