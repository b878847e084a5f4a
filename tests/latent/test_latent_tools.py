"""Arithmetic with codes, traversals and denoising against closed forms."""

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import numpyro.distributions as dist
import objective_tools as tools
import pytest
from latent_spaces import BALL, decoding

from jaxvae import posteriors
from jaxvae.common.errors import UserError
from jaxvae.latent import arithmetic
from jaxvae.models.base import centre


def test_attribute_vectors_move_and_analogies_on_hand_made_codes():
    codes = jnp.asarray([[0.0, 0.0], [2.0, 0.0], [0.0, 3.0], [0.0, 5.0], [6.0, 6.0]])
    labels = np.asarray([4, 4, 7, 7, 9])
    vectors = arithmetic.attribute_vectors(codes, labels)
    assert list(vectors) == [4, 7, 9]
    np.testing.assert_allclose(vectors[4], [1 - 2, 0 - 14 / 3], rtol=1e-6)
    np.testing.assert_allclose(vectors[9], [6 - 0.5, 6 - 2], rtol=1e-6)
    vector = arithmetic.attribute_vector(codes, labels, 7, 4)
    np.testing.assert_allclose(vector, [-1.0, 4.0])
    moved = arithmetic.move(codes[:2], vector, jnp.asarray([0.0, 1.0, -0.5]))
    np.testing.assert_allclose(moved, [[[0, 0], [-1, 4], [0.5, -2]], [[2, 0], [1, 4], [2.5, -2]]])
    np.testing.assert_allclose(arithmetic.analogy(codes[0], codes[1], codes[2:4]), [[2, 3], [2, 5]])


def test_a_traversal_varies_one_dimension_by_prior_deviations_in_the_order_of_the_kl():
    scale = jnp.asarray([1.0, 2.0, 3.0])
    model = decoding(lambda z: 10 * z)._replace(prior=lambda params: dist.Normal(jnp.ones(3), scale).to_event(1))
    z = jnp.asarray([0.5, -0.5, 1.0])
    pictures = arithmetic.traversal(model, {}, z, dims=(2, 0), span=2.0, num=5)
    expected = np.broadcast_to(np.asarray(z), (2, 5, 3)).copy()
    expected[0, :, 2] += np.asarray([-6, -3, 0, 3, 6])
    expected[1, :, 0] += np.asarray([-2, -1, 0, 1, 2])
    np.testing.assert_allclose(pictures, 10 * expected, rtol=1e-6)
    assert arithmetic.traversal(model, {}, z).shape == (3, 9, 3)
    # the posterior's variance falls with the length of a column of W: 0.5, 1, 2
    kl = arithmetic.kl_per_dimension(lg.MODEL, lg.params(), lg.X)
    mean, variance = lg.posterior_moments(lg.params(), lg.X)
    np.testing.assert_allclose(kl, np.mean(0.5 * (mean**2 + variance - 1 - np.log(variance)), axis=0), rtol=1e-5)
    np.testing.assert_array_equal(arithmetic.order_dimensions(lg.MODEL, lg.params(), lg.X), np.argsort(-kl))
    np.testing.assert_array_equal(np.argsort(-kl), [2, 1, 0])


@pytest.mark.slow
def test_without_a_kl_dimensions_are_ordered_by_the_variance_of_the_centres(random_like):
    for posterior in (posteriors.full_covariance, posteriors.delta, posteriors.hamiltonian):
        model = tools.small(posterior=posterior)
        params = random_like(model.init, jax.random.key(0))
        variance = np.var(centre(model.encode(params, tools.X)), axis=0)
        with pytest.raises(UserError):
            arithmetic.kl_per_dimension(model, params, tools.X)
        np.testing.assert_array_equal(arithmetic.order_dimensions(model, params, tools.X), np.argsort(-variance))


def test_a_traversal_knows_the_scale_of_a_prior_without_a_variance():
    """As a flow is; here that of a log-normal, sd^2 = (exp(s^2) - 1) exp(s^2)."""
    spread = np.asarray([0.2, 0.5, 0.3])
    log_normal = dist.TransformedDistribution(
        dist.Normal(jnp.zeros(3), jnp.asarray(spread)).to_event(1), dist.transforms.ExpTransform()
    )
    model = decoding(lambda z: z)._replace(prior=lambda params: log_normal)
    pictures = np.asarray(arithmetic.traversal(model, {}, jnp.zeros(3), span=1.0, num=3))
    np.testing.assert_allclose(
        pictures[range(3), 2, range(3)], np.sqrt(np.expm1(spread**2) * np.exp(spread**2)), rtol=0.08
    )


def test_denoising_is_repeated_reconstruction():
    params, x = lg.params(), lg.X
    expected = x
    for _ in range(3):
        expected = lg.posterior_moments(params, expected)[0] @ lg.WEIGHT.T + lg.BIAS
    np.testing.assert_allclose(arithmetic.denoise(lg.MODEL, params, x, 3), expected, rtol=1e-4, atol=1e-5)


def test_bad_input_of_codes_is_refused():
    model, coded, codes = tools.small(), tools.gumbel_model(), jnp.ones((3, 2))
    refused = {
        "no code of class 5": lambda: arithmetic.attribute_vector(codes, np.asarray([0, 1, 1]), 5),
        "no code of class 6": lambda: arithmetic.attribute_vector(codes, np.asarray([0, 1, 1]), 0, 6),
        "no code of another class": lambda: arithmetic.attribute_vectors(codes, np.zeros(3, int)),
        "as many labels": lambda: arithmetic.attribute_vectors(codes, np.zeros(2, int)),
        "do not add up": lambda: arithmetic.move(codes, jnp.ones(3), jnp.ones(1)),
        "num is 1": lambda: arithmetic.traversal(model, {}, jnp.zeros(2), num=1),
        "one z of shape": lambda: arithmetic.traversal(model, {}, codes),
        "dimensions 0 to 1": lambda: arithmetic.traversal(model, {}, jnp.zeros(2), dims=(0, 2)),
        "adds vectors.*'interpolate'": lambda: arithmetic.traversal(BALL(), {}, jnp.zeros(2)),
        "live in codes": lambda: arithmetic.order_dimensions(coded, {}, tools.X),
        "Denoising": lambda: arithmetic.denoise(model, {}, tools.X, 0),
    }
    for words, call in refused.items():
        with pytest.raises(UserError, match=words):
            call()
