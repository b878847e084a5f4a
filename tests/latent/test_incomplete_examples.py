"""Walks and samplers encode an incomplete example by its observed values alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvae import latent, likelihoods, networks, posteriors, priors
from jaxvae.latent import arithmetic, samplers
from jaxvae.models import make_model
from jaxvae.models.base import centre, encode_batch

PARTS = posteriors.diagonal_gaussian(2), priors.standard_normal(2), likelihoods.gaussian(), networks.mlp((8,), "tanh")
MODEL = make_model(*PARTS, data_shape=(6,), mask_input=True)
RNG = np.random.default_rng(0)
X, MASK = RNG.normal(size=(40, 6)).astype(np.float32), RNG.random((40, 6)) < 0.6
OTHER = np.where(MASK, X, 50.0).astype(np.float32)  # other values where none was observed


@pytest.fixture(scope="module")
def params():
    tree = MODEL.init(jax.random.key(0))
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    drawn = [a + 0.5 * jax.random.normal(k, a.shape) for a, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(structure, drawn)


def test_dimensions_are_measured_by_observed_values(params):
    found, other = (arithmetic.information_per_dimension(MODEL, params, x, mask=MASK)[0] for x in (X, OTHER))
    np.testing.assert_array_equal(found, other)
    q = encode_batch(MODEL, params, {"x": X, "mask": MASK})
    kl = 0.5 * (q.mean**2 + q.variance - 1 - jnp.log(q.variance))
    np.testing.assert_allclose(found, kl.mean(axis=0), rtol=1e-5)
    assert not np.allclose(found, arithmetic.information_per_dimension(MODEL, params, X)[0], rtol=1e-2)


def test_a_path_begins_and_ends_at_the_codes_of_observed_values(params):
    a, b = slice(4), slice(4, 8)
    z = latent.interpolate(MODEL, params, OTHER[a], OTHER[b], 3, masks=(MASK[a], MASK[b])).z
    codes = centre(encode_batch(MODEL, params, {"x": X, "mask": MASK}))
    np.testing.assert_allclose(z[:, 0], codes[a], atol=1e-5)
    np.testing.assert_allclose(z[:, -1], codes[b], atol=1e-5)


def test_examples_are_cleaned_by_observed_values(params):
    found, other = (arithmetic.denoise(MODEL, params, x, 2, mask=MASK) for x in (X, OTHER))
    np.testing.assert_allclose(found, other, rtol=1e-5)
    once = MODEL.decode(params, centre(encode_batch(MODEL, params, {"x": X, "mask": MASK}))).mean
    np.testing.assert_allclose(arithmetic.denoise(MODEL, params, X, mask=MASK), once, rtol=1e-5, atol=1e-6)


def test_a_mixture_of_posteriors_is_that_of_observed_values(params):
    def drawn(x):
        batches = [{"x": x[i : i + 16], "mask": MASK[i : i + 16]} for i in (0, 16, 32)]
        codes = samplers.encode_all(MODEL, params, batches, jax.random.key(0), keep=20)
        rows = [np.flatnonzero((x == row).all(axis=1))[0] for row in codes.inputs]
        np.testing.assert_array_equal(codes.masks, MASK[rows])
        return samplers.pseudo_inputs(20).fit(MODEL, params, codes, jax.random.key(0))(jax.random.key(2), 30, 1.0)

    np.testing.assert_array_equal(drawn(X), drawn(OTHER))
