"""Multi-scale structural similarity of images."""

import math

import chex
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxvae.losses.arrays import floats
from jaxvae.losses.elementary import log_softplus

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, section 3.2
MIN_WINDOW, MAX_WINDOW = 3, 11
FLOOR = 0.05  # the width of the bend that keeps a scale's similarity, to be raised to a fraction, above 0


def scales_and_window(height: int, width: int) -> tuple[int, int]:
    """The number of scales and the side of the window.

    The window is 11 or the largest odd number that fits the image; the scales are as many, at most 5, as it still fits.
    """
    side = min(height, width)
    window = min(MAX_WINDOW, side - 1 + side % 2)
    fits = [s for s in range(1, len(SCALE_WEIGHTS) + 1) if side // 2 ** (s - 1) >= window]
    return max(fits, default=1), window


def _blur(image, window):
    """The weighted means over all windows that lie in the image `[..., H, W, C]`, by one matrix for each axis."""
    kernel = np.exp(-0.5 * ((np.arange(window) - window // 2) / (1.5 * window / MAX_WINDOW)) ** 2)

    def matrix(size):
        rows = [np.pad(kernel / kernel.sum(), (i, size - window - i)) for i in range(size - window + 1)]
        return jnp.asarray(np.stack(rows), image.dtype)

    height, width = image.shape[-3:-1]
    return jnp.einsum("ih,...hwc,jw->...ijc", matrix(height), image, matrix(width), precision="highest")


def _halve(image):
    """The means of blocks of 2 x 2 of `[..., H, W, C]`; an odd last row or column is left out."""
    *batch, height, width, channels = image.shape
    even = image[..., : height // 2 * 2, : width // 2 * 2, :]
    return even.reshape(*batch, height // 2, 2, width // 2, 2, channels).mean(axis=(-4, -2))


def ms_ssim(x: Array, y: Array, value_range: float = 1.0) -> Array:
    """Multi-scale structural similarity of images; a mean over channels.

    Each scale's mean similarity is kept above 0 by a softplus, which adds 2e-6 at 0.5, 1e-3 at 0.2 and 0.03 at 0; so
    gradients are finite everywhere.

    Args:
      x: `[..., H, W, C]` in [0, value_range], at least 3 x 3 pixels.
      y: the same shape, or one that broadcasts to it.
      value_range: the difference of white and black.

    Returns:
      `[...]`, at most 1 (Wang, Simoncelli & Bovik 2003, "Multiscale structural similarity for image quality
      assessment", equation 7, its exponents scaled to sum to 1 over the scales that fit the image).

    Raises:
      ValueError: integers, or an image that is too small.
    """
    x, y = floats(x=x, y=y)
    if x.ndim < 3 or min(x.shape[-3:-1]) < MIN_WINDOW:
        raise ValueError(f"`x` has shape {x.shape}; images are [..., H, W, C] with H and W at least {MIN_WINDOW}.")
    scales, window = scales_and_window(*x.shape[-3:-1])
    weights = np.asarray(SCALE_WEIGHTS[:scales]) / sum(SCALE_WEIGHTS[:scales])
    c1, c2 = (0.01 * value_range) ** 2, (0.03 * value_range) ** 2
    x, y = jnp.broadcast_arrays(x, y)
    log_similarity = 0.0
    for scale in range(scales):
        if scale:
            x, y = _halve(x), _halve(y)
        mean_x, mean_y, xx, yy, xy = _blur(jnp.stack([x, y, x * x, y * y, x * y]), window)
        both, squares = mean_x * mean_y, jnp.square(mean_x) + jnp.square(mean_y)
        similarity = (2 * (xy - both) + c2) / (xx + yy - squares + c2)  # contrast and structure
        if scale == scales - 1:
            similarity *= (2 * both + c1) / (squares + c1)  # luminance, on the coarsest scale only
        floored = math.log(FLOOR) + log_softplus(similarity.mean(axis=(-3, -2)) / FLOOR)
        log_similarity += weights[scale] * floored
    return jnp.mean(jnp.exp(log_similarity), axis=-1)


def ms_ssim_loss(mean: Array, x: Array, value_range: float = 1.0) -> Array:
    """1 - MS-SSIM of images, a reconstruction loss that is not a likelihood and has no unit.

    Args:
      mean: `[B, H, W, C]` in [0, value_range], at least 3 x 3 pixels.
      x: `[B, H, W, C]`.
      value_range: the difference of white and black.

    Returns:
      `[B]`, from 0; weigh it by about 100 against a KL in nats (Snell et al. 2017, arXiv:1511.06409).

    Raises:
      AssertionError: the shapes differ.
      ValueError: integers, or images that are too small.
    """
    chex.assert_equal_shape([mean, x])
    chex.assert_rank(x, 4)
    return 1 - ms_ssim(x, mean, value_range)
