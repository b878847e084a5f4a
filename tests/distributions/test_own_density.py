"""Densities of a distribution's own draws, from the noise that they are made of, where coordinates keep no digits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.linalg import solve_triangular

from jaxvae import posteriors
from jaxvae.distributions.poincare import WrappedNormal, expmap0

NUM, DIM = 50, 6


def draw(q, key):
    """Draws, their log-density from the noise, and from themselves."""
    z, log_q = q.sample_and_log_prob(key, (NUM,))
    return z, log_q, q.log_prob(z)


@pytest.mark.parametrize("condition", [1.0, 1e4, 1e8])
def test_full_covariance_knows_the_density_of_its_draws_at_any_condition_number(condition):
    rng = np.random.default_rng(0)
    logvar = np.linspace(0, -2 * np.log(condition), DIM)
    below = np.exp(logvar / 2)[np.tril_indices(DIM, -1)[0]] * rng.normal(size=DIM * (DIM - 1) // 2)
    outputs = np.concatenate([3 * rng.normal(size=DIM), logvar, below])
    q = posteriors.full_covariance(DIM).build({}, outputs.astype(np.float32)[None], None)
    z, log_q, log_q_of_z = jax.jit(draw)(q, jax.random.key(0))
    assert np.linalg.cond(np.asarray(q.scale_tril[0], np.float64)) > 0.3 * condition
    loc, factor = np.asarray(q.loc[0], np.float64), np.asarray(q.scale_tril[0], np.float64)
    noise = np.asarray(jax.random.normal(jax.random.key(0), (NUM, 1, DIM)), np.float64)[:, 0]
    exact = loc + noise @ factor.T
    np.testing.assert_allclose(z[:, 0], exact, rtol=1e-5, atol=1e-5)
    solved = solve_triangular(factor, (exact - loc).T, lower=True)  # in float64 the draw itself tells its noise
    expected = -0.5 * np.sum(solved**2, axis=0) - np.log(np.diag(factor)).sum() - DIM / 2 * np.log(2 * np.pi)
    np.testing.assert_allclose(log_q[:, 0], expected, rtol=1e-5, atol=1e-5)
    if condition == 1:
        np.testing.assert_allclose(log_q_of_z, log_q, rtol=1e-4)


DISTANCES, SCALES = np.array([0.0, 3.0, 10.0]), np.array([1e-3, 0.1, 1.0], np.float32)


@pytest.mark.parametrize("curvature", [0.5, 1.0])
def test_a_wrapped_normal_knows_the_density_of_its_draws_as_far_out_as_they_go(curvature):
    """The change of variables in geodesic polar coordinates about loc: N(v) times (r / sinh r)^(d - 1), r = |v|."""
    away = np.array([0.6, 0.0, -0.8]) * DISTANCES[:, None] / 2 / np.sqrt(curvature)
    loc = expmap0(jnp.asarray(away, jnp.float32), curvature)
    q = WrappedNormal(loc[:, None], jnp.asarray(SCALES)[:, None], curvature)  # [distances, scales]
    _, log_q, log_q_of_z = jax.jit(draw)(q, jax.random.key(1))
    v = SCALES[:, None].astype(np.float64) * np.asarray(jax.random.normal(jax.random.key(1), (NUM, 3, 3, 3)))
    r = np.sqrt(curvature) * np.linalg.norm(v, axis=-1)
    log_normal = stats.norm.logpdf(v, 0, SCALES[:, None]).sum(axis=-1)
    np.testing.assert_allclose(log_q, log_normal + 2 * np.log(r / np.sinh(r)), rtol=1e-5, atol=1e-5)
    near = np.s_[:, :2, 1:]  # where z itself has kept its digits
    np.testing.assert_allclose(log_q_of_z[near], log_q[near], rtol=1e-4, atol=1e-3)
