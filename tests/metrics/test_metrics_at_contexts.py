"""Metrics of a conditional model, each example at its own context, and of incomplete rows: linear and Gaussian."""

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import numpyro.distributions as dist
import pytest
from linear_at_context import BOTH, MODEL, ONE, TO_X, TWO, X
from slow_cases import fast

from jaxvae import given, losses
from jaxvae.common.errors import UserError
from jaxvae.metrics.annealed import ais, simulate
from jaxvae.metrics.latent_use import collapse
from jaxvae.metrics.outliers import outlier_scores
from jaxvae.metrics.rate_distortion import by_example
from jaxvae.metrics.rates import aggregate_kl
from jaxvae.models import Data

WRONG, SHORT = lg.params(0.4, 0.3), {"num_temperatures": 6, "num_chains": 3, "num_leapfrog": 2}


def key():
    return jax.random.key(0)


METRICS = {
    "ais": lambda model, x, **beside: ais(model, WRONG, key(), x, **SHORT, **beside),
    "rate and distortion": lambda model, x, **beside: jnp.concatenate(
        by_example(model, WRONG, key(), x, num_points=3, **SHORT, **beside)[1:], axis=-1
    ),
    "outliers": lambda model, x, **beside: jnp.stack(
        list(outlier_scores(model, WRONG, key(), x, 3, **beside).values()), axis=-1
    ),
}


@pytest.mark.parametrize("name", fast(METRICS, "ais", "outliers"))
def test_each_example_is_taken_at_its_own_context(name):
    """A constant context gives the numbers of the model there; two contexts those of each."""
    of_batch = jax.jit(lambda x, context: METRICS[name](MODEL, x, context=context))
    at = jax.jit(lambda x, context: METRICS[name](given(MODEL, context), x))
    at_one, at_two = (np.asarray(at(X, context)) for context in (ONE, TWO))
    both = of_batch(X, BOTH)
    np.testing.assert_allclose(of_batch(X, np.tile(ONE, (4, 1))), at_one, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(both[::2], at_one[::2], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(both[1::2], at_two[1::2], rtol=1e-4, atol=1e-4)
    assert np.abs(at_one - at_two).max(axis=0).min() > 1e-3


def test_from_the_exact_posterior_every_weight_is_the_evidence_of_what_is_drawn_at_the_context():
    @jax.jit
    def drawn_and_judged(context):
        _, x = simulate(MODEL, lg.params(), key(), 4, context)
        return x, ais(MODEL, lg.params(), key(), x, **SHORT, start="posterior", context=context)

    x, found = drawn_and_judged(BOTH)
    np.testing.assert_allclose(found, lg.MARGINAL.logpdf(x - BOTH @ TO_X), rtol=1e-4)


def test_the_kl_and_the_variation_are_those_at_each_context():
    batch = {"x": jnp.asarray(X), "context": jnp.asarray(BOTH)}
    plain, moved = (
        aggregate_kl(model, WRONG, key(), [of]) for model, of in ((lg.MODEL, {"x": jnp.asarray(lg.X)}), (MODEL, batch))
    )
    assert moved["kl"] == pytest.approx(plain["kl"], rel=1e-4)
    decoded = np.asarray(MODEL.decode(WRONG, MODEL.encode(WRONG, X, BOTH).mean, BOTH).mean)
    found = collapse(MODEL, WRONG, key(), [batch])
    expected = np.var(decoded, axis=0).sum() / np.var(X, axis=0).sum()
    assert found["decoder_variation"] == pytest.approx(expected, rel=1e-4)
    mean, variance = lg.posterior_moments(WRONG, lg.X)
    kl = losses.kl_standard_normal(mean, jnp.broadcast_to(jnp.log(variance), mean.shape))
    assert found["kl"] == pytest.approx(float(kl.mean()), rel=1e-4)


@pytest.mark.slow
def test_estimates_of_some_rows_are_those_of_all():
    of_rows = jax.jit(lambda rows: ais(lg.MODEL, WRONG, key(), lg.X, **SHORT, rows=rows))
    every = np.concatenate([of_rows(jnp.asarray(rows)) for rows in ([0, 1], [2, 3])])
    np.testing.assert_allclose(jax.jit(lambda: ais(lg.MODEL, WRONG, key(), lg.X, **SHORT))(), every, rtol=1e-4)


SEEN = np.asarray([True, True, False, True, False])


def test_missing_values_have_no_part_in_the_estimates():
    """They are those of the model of the observed values alone, by the same chains."""

    def of_seen(params, z, context=None):
        return dist.Normal(lg.MODEL.decode(params, z).base_dist.loc[..., SEEN], lg.NOISE**0.5).to_event(1)

    mask = np.broadcast_to(SEEN, lg.X.shape)
    holes = np.where(mask, lg.X, 1e3).astype(np.float32)
    model = lg.MODEL._replace(decode=of_seen, data=Data((int(SEEN.sum()),)))
    alone = jax.jit(lambda: ais(model, WRONG, key(), lg.X[:, SEEN], **SHORT))()
    found = jax.jit(lambda: ais(lg.MODEL, WRONG, key(), holes, **SHORT, mask=mask))()
    np.testing.assert_allclose(found, alone, rtol=1e-4)


def test_the_variation_is_of_the_observed_values():
    def encode(params, x, context=None, mask=None):
        return lg.MODEL.encode(params, x if mask is None else jnp.where(mask, x, 0.0))

    model, mask = lg.MODEL._replace(encode=encode), np.ones(lg.X.shape, bool)
    mask[:2, 0] = False
    holes = np.where(mask, lg.X, 1e6).astype(np.float32)
    found = collapse(model, WRONG, key(), [{"x": jnp.asarray(holes), "mask": jnp.asarray(mask)}])
    decoded = np.asarray(model.decode(WRONG, encode(WRONG, holes, mask=mask).mean).mean)
    data, back = (np.ma.masked_array(values, ~mask).var(axis=0).sum() for values in (holes, decoded))
    assert found["decoder_variation"] == pytest.approx(back / data, rel=1e-3)


def test_a_conditional_model_without_a_context_is_refused():
    for metric in (ais, lambda *given: outlier_scores(*given, 3)):
        with pytest.raises(UserError, match="conditional on a context of 2 values"):
            metric(MODEL, WRONG, key(), X)
