"""What the tests of adversarial objectives share: gradients by group, and slopes of losses written by hand."""

import gradient_tools as gt
import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.models.discriminator import NAME
from jaxvae.train.gradients import gradients

STEP = 1e-5
BATCH = {"x": gt.X}


def found(objective, at, batch=BATCH, ctx=gt.CTX):
    """The gradient of each group, as training has it."""
    return jax.jit(lambda params: gradients(objective, params, at.extra, batch, gt.key(), ctx)[0])(at.params)


def assert_follows(gradient, params, loss, near=1e-7):
    """The gradient of each leaf is the slope of `loss(params)`, by central differences along a random direction."""
    rng, loss = np.random.default_rng(1), jax.jit(loss)
    leaves, tree = jax.tree_util.tree_flatten_with_path(params)
    for i, ((path, leaf), slope) in enumerate(zip(leaves, jax.tree.leaves(gradient), strict=True)):
        direction = rng.normal(size=np.shape(leaf))
        ends = []
        for step in (STEP, -STEP):
            moved = [other for _, other in leaves]
            moved[i] = leaf + step * direction
            ends.append(float(loss(tree.unflatten(moved))))
        wanted = (ends[0] - ends[1]) / (2 * STEP)
        np.testing.assert_allclose(np.sum(slope * direction), wanted, rtol=1e-5, atol=near, err_msg=str(path))
        assert abs(wanted) > 1e-6, f"{path} is not trained"


def assert_no_leak(objective, at, batch=BATCH, ctx=gt.CTX, key=None):
    """No loss has a slope in the parameters of another group: discriminator and model are stopped for each other."""

    def of(name):
        def loss(params):
            return jnp.mean(objective.loss(params, at.extra, batch, gt.key(), ctx).losses[name])

        return jax.jit(jax.grad(loss))(at.params)

    groups = sorted(at.params)
    assert NAME in groups
    for name in groups:
        slopes = of(name)
        for other in groups:
            moves = any(np.any(np.asarray(leaf) != 0) for leaf in jax.tree.leaves(slopes[other]))
            assert moves == (name == other), (name, other)
