"""Spatial latents: what a position of the latent sees, and where its values stand in the flat vector."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvae import likelihoods, networks, posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.models import make_model

SHAPE = (12, 16, 1)
NETWORKS = {"conv": networks.conv, "resnet": networks.resnet}


def network(name, latent_channels=3, **options):
    options |= {"groups": 2} if name == "resnet" else {}
    return NETWORKS[name]((4, 6), latent_channels=latent_channels, **options)


def test_a_value_of_the_latent_is_of_one_position():
    """Pixels of one corner move the latents near it alone, means and variances; and latents the pixels near them."""
    shape = (24, 32, 1)
    model = make_model(posteriors.diagonal_gaussian(144), priors.standard_normal(144), likelihoods.squared_error(),
                       network("conv"), data_shape=shape)  # fmt: skip
    params = jax.jit(model.init)(jax.random.key(0))
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    corner = x.copy()
    corner[:, :2, :2] += 1

    @jax.jit
    def moments(x):
        q = model.encode(params, x)
        return q.mean, q.variance

    for one, other in zip(moments(x), moments(corner), strict=True):
        moved = np.any(np.asarray(np.abs(one - other) > 1e-6).reshape(2, 6, 8, 3), axis=(0, 3))
        assert moved[0, 0]
        assert not moved[3:].any()
        assert not moved[:, 3:].any()
    z = np.zeros((2, 6, 8, 3), np.float32)
    z[1, 0, 7] = 1  # the upper right
    decoded = np.asarray(jax.jit(lambda z: model.decode(params, z).mean)(z.reshape(2, -1)))
    moved = np.any(np.abs(decoded[1] - decoded[0]) > 1e-7, axis=-1)
    assert moved[0, -1]
    assert not moved[:, :16].any()
    assert not moved[16:].any()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_latent_is_a_vector_or_codes_of_the_positions(name):
    made = network(name)
    shapes = (2 * 36, (36,)), (36, (12, 3)), (36, (36,))  # mean and log-variance; codes; a point
    for num_outputs, latent_shape in shapes:
        encoder, decoder = made.encoder(SHAPE, num_outputs), made.decoder(latent_shape, SHAPE)

        def both(key, encoder=encoder, decoder=decoder, latent_shape=latent_shape):
            x, z = jnp.zeros((5, *SHAPE)), jnp.zeros((5, *latent_shape))
            into, back = encoder.init(key, x), decoder.init(key, z)
            assert not any("MLP" in layer for layer in (*into["params"], *back["params"]))
            assert networks.functions(decoder).last_layer in back["params"]
            return encoder.apply(into, x), decoder.apply(back, z), back["params"]

        found, back, params = jax.eval_shape(both, jax.random.key(0))
        assert (found.shape, back.shape) == ((5, num_outputs), (5, *SHAPE))
        assert params[networks.functions(decoder).last_layer]["bias"].shape == (1,)


def test_flat_latents_are_read_as_they_are_written():
    """A map of k kinds of c channels becomes k maps, one after the other, each row by row."""
    x = jnp.arange(2 * 3 * 4 * 6.0).reshape(2, 3, 4, 6)
    flat = np.asarray(networks.spatial.as_outputs(x, 3))
    means, logvars = np.split(flat, 2, axis=-1)
    np.testing.assert_array_equal(networks.spatial.as_map("conv", jnp.asarray(means), (3, 4), 3), x[..., :3])
    np.testing.assert_array_equal(networks.spatial.as_map("conv", jnp.asarray(logvars), (3, 4), 3), x[..., 3:])
    codes = means.reshape(2, 12, 3)  # as a posterior of codes does
    np.testing.assert_array_equal(networks.spatial.as_map("conv", jnp.asarray(codes), (3, 4), 3), x[..., :3])


@pytest.mark.parametrize(
    ("module", "last"),
    [
        (lambda: networks.mlp((7, 5)), "Dense_2"),
        (lambda: networks.conv((4, 6), hidden=(3,)), "Conv_1"),
        (lambda: networks.conv_pool((4, 2)), "Conv_2"),
        (lambda: networks.resnet((4, 6), groups=2), "Conv_1"),
        (lambda: network("resnet"), "Conv_2"),
    ],
)
def test_the_last_layer_makes_the_outputs(module, last):
    """Its bias alone shifts every pixel by the same."""
    made = networks.functions(module().decoder((36,), SHAPE))
    params = jax.eval_shape(made.init, jax.random.key(0), jnp.zeros((1, 36)))["params"]
    assert made.last_layer == last
    assert params[last]["bias"].shape in ((1,), (192,))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_latent_of_another_size_is_refused_with_the_size_that_fits(name):
    with pytest.raises(
        UserError, match=r"at \[3, 4\] positions, 36 values, .* set model.latent_dim to 36, or, .* to 12"
    ):
        jax.eval_shape(network(name).encoder(SHAPE, 2 * 20).init, jax.random.key(0), jnp.zeros((1, *SHAPE)))
    for latent in ((20,), (72,)):
        with pytest.raises(UserError, match=r"set model.latent_dim to 36"):
            jax.eval_shape(network(name).decoder(latent, SHAPE).init, jax.random.key(0), jnp.zeros((1, *latent)))
    with pytest.raises(UserError, match="no dense layers"):
        network(name, hidden=(5,))
    with pytest.raises(UserError, match="0 or more"):
        network(name, latent_channels=-1)
