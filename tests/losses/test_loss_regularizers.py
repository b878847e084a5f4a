"""Jacobian penalties against full Jacobians."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.losses import squared_jacobian


def test_squared_jacobian_of_arrays_of_any_rank_is_that_of_the_full_jacobian():
    weight = np.random.default_rng(3).normal(size=(6, 4)).astype(np.float32)

    def function(x):  # [B, 2, 3] -> [B, 2, 2]
        return jnp.sin(x.reshape(-1, 6) @ weight).reshape(-1, 2, 2)

    x = np.random.default_rng(0).uniform(size=(5, 2, 3)).astype(np.float32)
    full = jax.vmap(jax.jacobian(lambda row: function(row[None])[0]))(x)
    np.testing.assert_allclose(squared_jacobian(function, x), (full**2).sum(axis=(1, 2, 3, 4)), rtol=1e-5)
