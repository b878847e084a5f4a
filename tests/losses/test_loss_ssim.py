"""Multi-scale structural similarity against loops over windows."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxvae.losses import ms_ssim
from jaxvae.losses.ssim import FLOOR, scales_and_window

RNG = np.random.default_rng(0)


def slow_ssim(x, y, window, span):
    """Single-scale SSIM of `[H, W]` images by loops over the windows: means of contrast-structure and of the whole."""
    at = np.arange(window) - window // 2
    kernel = np.exp(-0.5 * (at[:, None] ** 2 + at**2) / (1.5 * window / 11) ** 2)
    kernel /= kernel.sum()
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    structures, wholes = [], []
    for i, j in itertools.product(*(range(side - window + 1) for side in x.shape)):
        a, b = x[i : i + window, j : j + window], y[i : i + window, j : j + window]
        mean_a, mean_b = (kernel * a).sum(), (kernel * b).sum()
        var_a, var_b = (kernel * (a - mean_a) ** 2).sum(), (kernel * (b - mean_b) ** 2).sum()
        covariance = (kernel * (a - mean_a) * (b - mean_b)).sum()
        structures.append((2 * covariance + c2) / (var_a + var_b + c2))
        wholes.append(structures[-1] * (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1))
    return np.mean(structures), np.mean(wholes)


def halved(x):
    return x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2).mean(axis=(1, 3))


@pytest.mark.parametrize(
    ("shape", "scales", "window", "span"), [((8, 8), 1, 7, 1.0), ((12, 16), 1, 11, 2.0), ((28, 28), 2, 11, 1.0)]
)
def test_ms_ssim_is_a_loop_over_windows(shape, scales, window, span):
    assert scales_and_window(*shape) == (scales, window)
    x = span * RNG.uniform(size=(*shape, 2))
    y = np.clip(x + 0.1 * span * RNG.normal(size=x.shape), 0, span)
    expected = []
    for a, b in zip(np.moveaxis(x, -1, 0), np.moveaxis(y, -1, 0), strict=True):
        structure, whole = slow_ssim(a, b, window, span)
        assert min(structure, whole) > 10 * FLOOR  # above the bend
        if scales == 2:
            _, coarse = slow_ssim(halved(a), halved(b), window, span)
            weights = np.array([0.0448, 0.2856]) / (0.0448 + 0.2856)
            whole = structure ** weights[0] * coarse ** weights[1]
        expected.append(whole)
    got = jax.jit(ms_ssim)(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32), span)
    assert float(got) == pytest.approx(np.mean(expected), rel=2e-4)


@pytest.mark.parametrize("shape", [(3, 3, 1), (8, 8, 3), (45, 51, 1)])
def test_ms_ssim_is_one_for_equal_images_and_falls_with_noise(shape):
    x = jnp.asarray(RNG.uniform(size=shape), jnp.float32)
    noise = jnp.asarray(RNG.normal(size=shape), jnp.float32)
    by_noise = jax.jit(jax.vmap(lambda sigma: ms_ssim(x, x + sigma * noise)))(jnp.float32([0.0, 0.02, 0.06, 0.2]))
    assert by_noise[0] == pytest.approx(1, abs=1e-5)
    assert np.all(np.diff(by_noise) < -1e-4)


def test_ms_ssim_gradients_are_right_and_lead_to_the_image():
    x, y = RNG.uniform(size=(2, 28, 28, 1))
    with jax.enable_x64(True):
        check_grads(jax.jit(lambda y: ms_ssim(x, y)), [0.7 * x + 0.3 * y], order=1, modes=["rev"], rtol=1e-4)
    x, y = jnp.asarray(x, jnp.float32), jnp.asarray(1 - x, jnp.float32)  # the negative: similarities below 0
    value_and_slope = jax.jit(jax.value_and_grad(lambda y: ms_ssim(x, y)))
    for start in (y, jnp.zeros_like(x), x, jnp.full_like(x, 0.5), jnp.full_like(x, 1e3)):
        assert np.all(np.isfinite(value_and_slope(start)[1]))
    start = 0.5 - 0.1 * (x - 0.5)  # of the opposite contrast; nearer to the image along the gradient
    value, slope = value_and_slope(start)
    assert float(value_and_slope(start + 0.01 * slope / jnp.linalg.norm(slope))[0]) > float(value)
