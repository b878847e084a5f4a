"""Walks, searches and imputations of a conditional model, each example at its own context: linear and Gaussian."""

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import pytest
from linear_at_context import BOTH, MODEL, ONE, TWO, X
from linear_at_context import decode as decode_at
from linear_at_context import encode as encode_at

from jaxvae import given, latent
from jaxvae.latent import arithmetic, imputation, samplers
from jaxvae.latent.search import matching, search

WRONG = lg.params(0.4, 0.3)
SEEN = np.arange(lg.DATA) < 3


def key():
    return jax.random.key(0)


def found(name, model, x, context=None):
    ends = {} if context is None else {"contexts": (context, context)}
    beside = {} if context is None else {"context": context}
    chains = WRONG, key(), x, SEEN, 4, 2, 2
    if name in ("linear", "geodesic"):
        return latent.interpolate(model, WRONG, x, x + 1.0, 3, name, steps=5, **ends).mean
    return {
        "metropolis": lambda: imputation.metropolis_within_gibbs(model, *chains, **beside).mean,
        "missing": lambda: imputation.missing_log_likelihood(model, WRONG, key(), x, SEEN, 5, 2, **beside)[:, None],
        "search": lambda: search(model, WRONG, key(), matching(x, SEEN), 4, steps=5, **beside).z,
        "denoise": lambda: arithmetic.denoise(model, WRONG, x, 2, **beside),
    }[name]()


@pytest.mark.parametrize("name", ["linear", "geodesic", "metropolis", "missing", "search", "denoise"])
def test_each_example_is_taken_at_its_own_context(name):
    """A constant context gives the numbers of the model there; two contexts those of each."""
    at_one, at_two = (np.asarray(found(name, given(MODEL, one), X)) for one in (ONE, TWO))
    both = found(name, MODEL, X, BOTH)
    np.testing.assert_allclose(found(name, MODEL, X, np.tile(ONE, (4, 1))), at_one, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(both[::2], at_one[::2], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(both[1::2], at_two[1::2], rtol=1e-4, atol=1e-4)
    assert np.abs(at_one - at_two).max() > 1e-3


@pytest.mark.parametrize("path", ["linear", "geodesic"])
def test_a_path_leads_from_one_context_to_the_other(path):
    a, b, start, end = X[:2], X[2:], BOTH[:2], BOTH[:2][::-1]
    curve = latent.interpolate(MODEL, WRONG, a, b, 3, path, steps=5, contexts=(start, end))
    for i, (x, context) in enumerate([(a, start), (b, end)]):
        z = encode_at(WRONG, x, context).mean
        np.testing.assert_allclose(curve.z[:, 2 * i], z, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(curve.mean[:, 2 * i], decode_at(WRONG, z, context).mean, rtol=1e-4, atol=1e-5)
    middle = decode_at(WRONG, curve.z[:, 1], (start + end) / 2).mean
    np.testing.assert_allclose(curve.mean[:, 1], middle, rtol=1e-4, atol=1e-5)


def test_dimensions_are_measured_at_the_context_of_each_example():
    plain = arithmetic.kl_per_dimension(lg.MODEL, WRONG, jnp.asarray(lg.X))
    np.testing.assert_allclose(arithmetic.kl_per_dimension(MODEL, WRONG, X, BOTH), plain, rtol=1e-4)


def test_a_mixture_of_posteriors_has_those_of_each_context():
    """From one example each time, drawn with the mean of its posterior at its own context."""
    batches = [{"x": X[:2], "context": BOTH[:2]}, {"x": X[2:], "context": BOTH[2:]}]
    codes = samplers.encode_all(MODEL, WRONG, batches, key(), keep=4)
    rows = [int(np.flatnonzero((row == X).all(axis=1))[0]) for row in codes.inputs]
    np.testing.assert_array_equal(codes.contexts, BOTH[rows])
    z = samplers.pseudo_inputs(4).fit(MODEL, WRONG, codes, key())(key(), 40, 0.0)
    centres = np.asarray(encode_at(WRONG, X, BOTH).mean)
    nearest = np.abs(np.asarray(z)[:, None] - centres).max(axis=-1).min(axis=1)
    np.testing.assert_allclose(nearest, 0, atol=1e-4)
