"""Discriminators: shapes of scores and features, context, and inputs and options that do not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvae import networks
from jaxvae.common.errors import UserError
from jaxvae.models.discriminator import make_discriminator
from jaxvae.networks.base import Functions
from jaxvae.networks.precision import computed_discriminator

IMAGES = np.random.default_rng(0).uniform(size=(3, 12, 10, 1)).astype(np.float32)
CONTEXT = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
MLP, CONV, PATCH = (
    networks.mlp_discriminator((7, 5)),
    networks.conv_discriminator((4, 6), hidden=(5,)),
    networks.patch_discriminator((4, 6)),
)


def apply(discriminator, x, context=None):
    params = jax.jit(discriminator.init)(jax.random.key(0))
    return jax.jit(discriminator.apply)(params, x, context)


@pytest.mark.parametrize(
    ("network", "scores", "features"),
    [
        (MLP, (3,), [(3, 7), (3, 5)]),
        (CONV, (3,), [(3, 6, 5, 4), (3, 3, 3, 6), (3, 5)]),
        (PATCH, (3, 3, 3), [(3, 6, 5, 4), (3, 3, 3, 6)]),
    ],
)
def test_scores_and_features_have_their_shapes_and_depend_on_the_context(network, scores, features):
    made = make_discriminator(network, (12, 10, 1), 4)
    found, layers = apply(made, IMAGES, CONTEXT)
    assert found.shape == scores
    assert [layer.shape for layer in layers] == features
    other, _ = apply(made, IMAGES, CONTEXT[::-1])
    assert np.all(np.asarray(found)[[0, 2]] != np.asarray(other)[[0, 2]])
    params = made.init(jax.random.key(0))
    np.testing.assert_array_equal(made.scores(params, IMAGES, CONTEXT), made.apply(params, IMAGES, CONTEXT)[0])
    without, _ = apply(make_discriminator(network, (12, 10, 1)), IMAGES)
    assert without.shape == scores


def test_a_score_is_of_its_own_patch_alone():
    """The two convolutions of stride 2 and the last one, all of side 4, see 22 pixels."""
    made = make_discriminator(networks.patch_discriminator((3, 3)), (48, 8, 1))
    params = made.init(jax.random.key(0))
    slope = jax.jit(jax.grad(lambda x: made.scores(params, x)[0, 6, 0]))(np.ones((1, 48, 8, 1), np.float32))
    rows = np.flatnonzero(np.any(np.asarray(slope)[0, :, :, 0] != 0, axis=1))
    assert rows.max() - rows.min() + 1 == 22


@pytest.mark.parametrize("network", [CONV, PATCH])
def test_second_order_gradients_pass_through_convolutions(network):
    """A step that lowers the squared slope of the scores lowers it by as much as its gradient says."""
    made = make_discriminator(network, (12, 10, 1))
    params = made.init(jax.random.key(0))

    def squared_slope(params):
        return jnp.sum(jax.grad(lambda x: jnp.sum(made.scores(params, x)))(jnp.asarray(IMAGES)) ** 2)

    @jax.jit
    def values(params):
        before, slope = jax.value_and_grad(squared_slope)(params)
        after = squared_slope(jax.tree.map(lambda leaf, each: leaf - 1e-4 * each, params, slope))
        return before, after, optax.tree.norm(slope, squared=True)

    before, after, squared = values(params)
    assert before - after == pytest.approx(1e-4 * float(squared), rel=0.05)


def test_discriminators_compute_in_bfloat16():
    exact, rounded = (
        make_discriminator(computed_discriminator(CONV, dtype), (12, 10, 1)) for dtype in ("float32", "bfloat16")
    )
    params = exact.init(jax.random.key(0))
    low, features = rounded.apply(params, IMAGES)
    assert low.dtype == features[0].dtype == jnp.float32
    np.testing.assert_allclose(low, exact.scores(params, IMAGES), atol=0.02)
    assert np.any(low != exact.scores(params, IMAGES))


def own(outputs, state=False):
    def init(key, *inputs):
        return {"params": {"w": jnp.ones(())}} | ({"batch_stats": {"n": jnp.ones(())}} if state else {})

    return networks.DiscriminatorNetwork(lambda shape: Functions(init, lambda *args, **options: (outputs(args[1]), {})))


@pytest.mark.parametrize(
    ("network", "shape", "said"),
    [
        (CONV, (6,), "'conv' is for images"),
        (PATCH, (6,), "'patch' is for images"),
        (networks.conv_discriminator(kernel=20), (12, 10, 1), "kernel=20, but the images have"),
        (own(lambda x: x[:, 0]), (6,), r"must return \(scores, features\)"),
        (own(lambda x: (jnp.zeros(()), [])), (6,), r"For 2 examples it returned"),
        (own(lambda x: (x[:, 0], [jnp.zeros(5)])), (6,), r"\[5\]"),
        (own(lambda x: (x[:, 0], []), state=True), (6,), "state of its own"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(network, shape, said):
    with pytest.raises(UserError, match=said):
        make_discriminator(network, shape)


@pytest.mark.parametrize(
    ("build", "options", "said"),
    [
        (networks.mlp_discriminator, {"hidden": (0,)}, "hidden="),
        (networks.mlp_discriminator, {"activation": "relo"}, "Did you mean 'relu'"),
        (networks.conv_discriminator, {"norm": "batch"}, "norm"),
        (networks.conv_discriminator, {"stride": 1}, "stride=1"),
        (networks.patch_discriminator, {"channels": ()}, "no channels"),
        (networks.patch_discriminator, {"channels": (6,), "norm": "group", "groups": 4}, "does not divide 6"),
    ],
)
def test_options_out_of_range_are_refused(build, options, said):
    with pytest.raises(UserError, match=said):
        build(**options)
