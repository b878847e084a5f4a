"""One device and two differ by rounding alone: in float64, 50 steps are equal to 1e-12."""

import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools
import optax
import pytest

from jaxvae import likelihoods, networks, posteriors, priors, train
from jaxvae.models import make_model
from jaxvae.train import sharding

STEPS, BATCH = 50, 16


def in_float64(leaf):
    return leaf.astype(np.float64) if jnp.issubdtype(leaf.dtype, np.floating) else leaf


def trained(parallel, name):
    """The parameters after STEPS steps in float64, and the losses of these steps."""
    parts = posteriors.diagonal_gaussian(3), priors.standard_normal(3), likelihoods.bernoulli()
    objective = tools.make(name, make_model(*parts, networks.mlp((16,), "relu"), data_shape=(6,)))
    optimizer = optax.adam(1e-2)
    step = train.make_step(objective, optimizer, lambda key, x: x, train_size=STEPS * BATCH)

    def many(nothing, resident, batches):
        state = train.init_state(objective, optimizer, jax.random.key(0))
        return jax.lax.scan(step, jax.tree.map(in_float64, state), batches)

    x = np.random.default_rng(0).uniform(size=(STEPS, BATCH, 6))
    state, metrics = jax.device_get(parallel.compile(many)((), (), parallel.shard({"x": x})))
    return np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(state.params)]), metrics["loss"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dip_vae", "elbo", "beta_tcvae", "info_vae", "wae_mmd", "swae"])
def test_fifty_steps_in_float64_are_equal_on_one_device_and_two(name):
    with jax.enable_x64(True):
        params, losses = trained(sharding.global_view(jax.devices()[:1]), name)
        split, split_losses = trained(sharding.global_view(jax.devices()[:2]), name)
    assert params.dtype == split.dtype == np.float64
    assert np.linalg.norm(split - params) < 1e-12 * np.linalg.norm(params)
    np.testing.assert_allclose(split_losses, losses, rtol=1e-12)
