"""Hamiltonian flows against the algorithm of their paper, written out in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from jaxvae.distributions import HamiltonianFlow

PRECISION = np.array([0.5, 2.0, 4.0])
MEAN, SCALE, STEP = np.array([1.0, -2.0, 0.5]), np.array([0.5, 1.5, 1.0]), np.array([0.3, 0.1, 0.2])


def log_joint(z):
    return -0.5 * jnp.sum(PRECISION.astype(np.float32) * jnp.square(z), axis=-1)


@pytest.mark.parametrize("tempering", [0.3, 0.9])
@pytest.mark.parametrize("num_steps", [1, 3])
def test_a_draw_is_that_of_the_papers_algorithm(tempering, num_steps):
    """arXiv:1805.11328, algorithm 1, with the quadratic tempering of its section 3.2."""
    base = dist.Normal(*(jnp.asarray(a, jnp.float32) for a in (MEAN, SCALE))).to_event(1)
    target = jax.tree_util.Partial(log_joint)
    flow = HamiltonianFlow(base, target, jnp.asarray(STEP, jnp.float32), jnp.float32(tempering), num_steps)
    found, log_q = jax.jit(lambda key: flow.sample_and_log_prob(key, (5,)))(jax.random.key(0))

    start_key, momentum_key = jax.random.split(jax.random.key(0))
    z = np.asarray(base.sample(start_key, (5,)), np.float64)
    first = np.asarray(jax.random.normal(momentum_key, (5, 3)), np.float64) / np.sqrt(tempering)
    start, momentum = z, first
    root = [((1 - tempering**-0.5) * (k / num_steps) ** 2 + tempering**-0.5) ** -1 for k in range(num_steps + 1)]
    for k in range(1, num_steps + 1):
        momentum = momentum - STEP / 2 * PRECISION * z
        z = z + STEP * momentum
        momentum = momentum - STEP / 2 * PRECISION * z
        momentum = root[k - 1] / root[k] * momentum
    np.testing.assert_allclose(found, z, rtol=1e-4, atol=1e-5)

    def log_normal(x, mean, variance):
        return -0.5 * np.sum((x - mean) ** 2 / variance + np.log(2 * np.pi * variance), axis=-1)

    # equation 8: the map of (z, momentum) has the Jacobian determinant beta_0^(d/2)
    log_start = log_normal(start, MEAN, SCALE**2) + log_normal(first, 0, np.full(3, 1 / tempering))
    expected = log_start - 1.5 * np.log(tempering) - log_normal(momentum, 0, np.ones(3))
    np.testing.assert_allclose(log_q, expected, rtol=1e-4, atol=1e-4)
