"""MMD and sliced Wasserstein distances of samples, against loops, closed forms and quantiles."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from distance_tools import KERNELS, slow_mmd

from jaxvae.losses import mmd, sliced_wasserstein

RNG = np.random.default_rng(2)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("variance", [1.0, 0.3])
def test_mmd_is_the_double_loop(kernel, variance):
    x, y = RNG.normal(size=(7, 3)).astype(np.float32), (0.5 + 2 * RNG.normal(size=(5, 3))).astype(np.float32)
    np.testing.assert_allclose(mmd(x, y, kernel, variance), slow_mmd(x, y, kernel, variance), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_mmd_of_equal_distributions_is_zero_on_average_and_of_others_above(kernel, assert_mean):
    def draw(key):
        x, y = jax.random.normal(key, (2, 6, 3))
        return mmd(x, y, kernel), mmd(x, y + 1.0, kernel), mmd(x, 2 * y, kernel)

    equal, moved, wider = jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(0), 3000))
    assert_mean(equal, 0)
    assert moved.mean() > 0.05
    assert wider.mean() > 0.02


def test_rbf_mmd_of_gaussians_is_its_closed_form(assert_mean):
    def draw(key):
        x, y = jax.random.normal(key, (2, 6, 2))
        return mmd(x, y + 1.0, "rbf")

    # E exp(-|d|^2 / c) for d ~ N(m, 2 I) in 2 dimensions, c = 4, is exp(-|m|^2 / (c + 4)) (c / (c + 4))
    expected = 2 * 0.5 - 2 * 0.5 * np.exp(-2 / 8)
    assert_mean(jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(1), 3000)), expected)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_gradient_of_mmd_is_finite_where_all_points_are_one(kernel):
    gradient = jax.grad(lambda x: mmd(x, jnp.ones((3, 2)), kernel))(100 * jnp.ones((4, 2)))
    assert np.all(np.isfinite(gradient))


def test_sliced_wasserstein_of_a_shift_is_its_closed_form(assert_mean):
    x, shift = RNG.normal(size=(6, 3)).astype(np.float32), np.array([1.0, -2.0, 0.5], np.float32)
    keys = jax.random.split(jax.random.key(0), 2000)
    got = jax.jit(jax.vmap(lambda key: sliced_wasserstein(key, x, x + shift, 2)))(keys)
    assert_mean(got, (shift**2).sum() / 3)  # E <shift, theta>^2 on the sphere
    assert got.std() > 0


def test_sliced_wasserstein_does_not_know_the_order_of_the_samples():
    x, y = RNG.normal(size=(2, 6, 3)).astype(np.float32)
    values = [sliced_wasserstein(jax.random.key(0), x, y[order], 7) for order in (slice(None), [3, 1, 0, 5, 2, 4])]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5)
    np.testing.assert_allclose(sliced_wasserstein(jax.random.key(0), x, x[::-1], 7), 0, atol=1e-9)
    one = sliced_wasserstein(jax.random.key(0), x[:, :1], y[:, :1], 4)  # in one dimension every direction is the same
    np.testing.assert_allclose(one, np.mean((np.sort(x[:, 0]) - np.sort(y[:, 0])) ** 2), rtol=1e-5)


def test_sliced_wasserstein_of_gaussians_is_that_of_their_quantiles(assert_mean):
    def draw(key):
        key, direction = jax.random.split(key)
        x, y = jax.random.normal(key, (2, 2000, 2))
        return sliced_wasserstein(direction, x, 3 * y + 2, 8)

    got = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(3), 30)))
    expected = (3 - 1) ** 2 + 8 / 2  # W2 of N(0, 1) and N(m, 9) is (3 - 1)^2 + m^2, and E m^2 = |(2, 2)|^2 / 2
    assert abs(got.mean() - expected) < 0.05 + 4 * got.std() / len(got) ** 0.5


def test_one_sample_has_no_unbiased_mmd():
    with pytest.raises(ValueError, match="2 samples"):
        mmd(jnp.zeros((1, 2)), jnp.zeros((3, 2)))
    with pytest.raises(AssertionError):
        mmd(jnp.zeros((3, 1)), jnp.zeros((3, 2)))
    with pytest.raises(AssertionError):
        sliced_wasserstein(jax.random.key(0), jnp.zeros((3, 2)), jnp.zeros((4, 2)))
