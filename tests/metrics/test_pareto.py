"""Pareto k of importance weights: against known shapes, another implementation, and weights of a Gaussian model."""

import math

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import pytest
from scipy import stats

from jaxvae.common.errors import UserError
from jaxvae.data.load import Split
from jaxvae.evaluation.bounds import unreliable_nll
from jaxvae.metrics import pareto
from jaxvae.metrics.likelihood import importance_nll, nll_and_pareto_k, nll_metrics
from jaxvae.train.sharding import global_view
from jaxvae.train.validation import mean_over


@pytest.mark.parametrize("k", [-0.3, 0.0, 0.3, 0.7, 1.0])
def test_the_fit_finds_a_known_shape(k):
    """The error of the fit is (1 + k) / sqrt(M) (Zhang & Stephens 2009), and its bias of the order 1 / M."""
    draws = np.sort(stats.genpareto.rvs(k, scale=3.0, size=(400, 300), random_state=0), axis=-1)
    found = np.asarray(jax.jit(pareto.generalized_pareto)(draws.astype(np.float32)), np.float64)
    assert found.mean() == pytest.approx(k, abs=4 * found.std() / 20 + 3 / 300)
    assert found.std() == pytest.approx((1 + k) / math.sqrt(300), rel=0.25)
    likelihood = stats.genpareto.fit(draws[0], floc=0)[0]
    assert found[0] == pytest.approx(likelihood, abs=0.06)


def test_the_tail_of_weights_has_the_k_of_another_implementation():
    arviz = pytest.importorskip("arviz")
    log_weights = np.random.default_rng(0).normal(size=(500, 4)) * [0.5, 1.0, 2.0, 4.0]
    found = jax.jit(pareto.pareto_k)(jnp.asarray(log_weights, jnp.float32))
    np.testing.assert_allclose(found, arviz.psislw(log_weights.T)[1], atol=1e-3)


def k_of(log_ratio, shift=0.0, num=2000):
    of = jax.jit(lambda key: nll_and_pareto_k(lg.MODEL, lg.params(shift, log_ratio), key, lg.X, num)[1])
    return np.stack([of(key) for key in jax.random.split(jax.random.key(0), 16)]).astype(np.float64)


@pytest.mark.parametrize("ratio", [0.25, 0.5])
def test_a_posterior_that_is_too_narrow_has_the_k_of_its_variance(ratio):
    """The weights are exp(c z^2), with a tail of index k = 1 - (variance of q) / (variance of p), up to logarithms."""
    found = k_of(math.log(ratio))
    assert found.mean() == pytest.approx(1 - ratio, abs=0.12)
    assert (found.mean() > pareto.threshold(2000)) == (ratio == 0.25)


def test_the_exact_posterior_and_a_wide_one_have_a_small_k():
    assert np.all(k_of(0.0, num=50) == 0)  # all weights are equal up to rounding
    assert k_of(math.log(2.0)).mean() < 0.1  # the weights are bounded


def test_the_nll_is_the_same_with_its_k_and_draws_at_an_edge_have_no_weight():
    params, key = lg.params(0.4, 0.3), jax.random.key(1)
    nll, k = jax.jit(lambda key: nll_and_pareto_k(lg.MODEL, params, key, lg.X, 30))(key)
    alone = jax.jit(lambda key: importance_nll(lg.MODEL, params, key, lg.X, 30))(key)
    np.testing.assert_allclose(nll, alone, rtol=1e-6)
    assert k.shape == (lg.BATCH,)
    weights = jnp.concatenate([jax.random.normal(key, (100, 3)), jnp.full((100, 3), -jnp.inf)])
    assert np.isfinite(pareto.pareto_k(weights)).all()


@pytest.mark.slow
@pytest.mark.parametrize(("log_ratio", "is_high"), [(0.0, False), (math.log(0.1), True)])
def test_a_mean_over_data_has_the_share_of_high_k_and_a_note_says_so(log_ratio, is_high):
    def of(num):
        def per_example(params, key, batch):
            return nll_metrics(lg.MODEL, lambda key, x: x, num, 8.0, params, key, batch)

        means = mean_over(Split(np.tile(lg.X, (8, 1))), per_example, global_view(), jax.random.key(0), 64)
        return means(lg.params(0.0, log_ratio))

    found = of(100)
    assert found.keys() == {"nll", "pareto_k", "pareto_k_high"}
    assert (found["pareto_k_high"] > 0.5) == is_high
    notes = unreliable_nll(found | {"nll_samples": 100})
    assert [("100 importance weights is above 0.50" in note) for note in notes] == [True] * is_high
    assert of(20).keys() == {"nll"}
    assert unreliable_nll({"nll": 1.0, "nll_samples": 20}) == []


def test_thresholds_and_numbers_of_draws():
    assert [round(pareto.threshold(num), 3) for num in (100, 1000, 2200, 10**6)] == [0.5, 0.667, 0.7, 0.7]
    assert pareto.needed_samples(0.5) == pytest.approx(100)
    assert pareto.needed_samples(-1.0) == pareto.LEAST
    assert pareto.needed_samples(0.8) == math.inf
    for few in (pareto.threshold, lambda num: pareto.pareto_k(jnp.zeros((num, 2)))):
        with pytest.raises(UserError, match="at least 21 draws; there are 20"):
            few(20)
