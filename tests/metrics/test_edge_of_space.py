"""The likelihood of a model whose draws of z reach the edge of a Poincaré ball as float32 has it."""

from functools import partial

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import integrate, stats

from jaxvae.distributions import WrappedNormal, expmap0
from jaxvae.distributions.spaces import EUCLIDEAN, ball
from jaxvae.evaluation.bounds import leave_out_edge
from jaxvae.metrics.likelihood import importance_nll, nll_metrics

PRIOR_SCALE, Q_LOC, Q_SCALE = 6.0, 5.0, 7.0  # in units of distance: 12.2 is the edge
X = np.array([[0.3], [-0.8]], np.float32)


def encode(params, x, context=None):
    loc = jnp.broadcast_to(expmap0(jnp.array([Q_LOC / 2])), x.shape)
    return WrappedNormal(loc, jnp.full(x.shape, Q_SCALE))


MODEL = lg.MODEL._replace(
    encode=encode,
    decode=lambda params, z, context=None: dist.Normal(2 * z, 1.0).to_event(1),
    prior=lambda params: WrappedNormal(jnp.zeros(1), jnp.full(1, PRIOR_SCALE)),
    data=lg.MODEL.data._replace(shape=(1,)),
    latent=lg.MODEL.latent._replace(shape=(1,), space=ball(1.0)),
)


def evidence(x, reach):
    """The integral of p(x|z) p(z) up to this distance from the origin, on a ball of one dimension."""

    def density(u):
        return stats.norm.pdf(u, 0, PRIOR_SCALE) * stats.norm.pdf(x, 2 * np.tanh(u / 2), 1)

    return integrate.quad(density, -reach, reach, limit=200)[0]


def test_draws_at_the_edge_have_no_weight_so_that_the_estimate_stays_one_from_above(assert_mean):
    keys = jax.random.split(jax.random.key(0), 20_000)
    nll = jax.jit(jax.vmap(lambda key: importance_nll(MODEL, {}, key, X, 2)))(keys)
    inside, whole = (np.array([evidence(float(x), reach) for x in X[:, 0]]) for reach in (12.1, np.inf))
    assert_mean(np.exp(-np.asarray(nll, np.float64)), inside)
    assert np.all(inside < 0.98 * whole)


def test_the_share_of_draws_at_the_edge_is_measured_and_takes_the_elbo_away():
    found = jax.jit(partial(nll_metrics, MODEL, lambda key, x: x, 2, 8.0))(
        {}, jax.random.key(0), {"x": jnp.tile(jnp.asarray(X), (500, 1))}
    )
    beyond = stats.norm.sf((12.1 - Q_LOC) / Q_SCALE) + stats.norm.cdf((-12.1 - Q_LOC) / Q_SCALE)
    share = float(jnp.mean(found["at_edge"]))
    assert share == pytest.approx(beyond, abs=4 * np.sqrt(beyond / 16_000))
    test = {"elbo": -3.0, "nll": 3.0, "at_edge": share}
    (note,) = leave_out_edge(test, MODEL.latent.space)
    assert test == {"elbo": None, "nll": 3.0}
    assert "16% of the draws of z are at the edge of the Poincaré ball of curvature -1" in note


def test_where_no_draw_is_at_an_edge_nothing_is_said():
    assert EUCLIDEAN.at_edge is None
    for test in ({"elbo": -3.0}, {"elbo": -3.0, "at_edge": 0.0}):
        assert leave_out_edge(test, ball(1.0)) == []
        assert test == {"elbo": -3.0}
