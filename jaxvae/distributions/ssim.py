"""Multi-scale structural similarity of images, as a reconstruction loss."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.distributions.continuous import Reconstruction
from jaxvae.distributions.elementary import log_softplus

SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. 2003, section 3.2
MIN_WINDOW, MAX_WINDOW = 3, 11
FLOOR = 0.05  # width of the softplus that keeps a scale's similarity above 0, since it is raised to a fraction


def scales_and_window(height: int, width: int) -> tuple[int, int]:
    """Choose the number of scales and the side of the window.

    The window is 11 or the largest odd number that fits the image; at most 5 scales are used, as long as it fits.
    """
    side = min(height, width)
    window = min(MAX_WINDOW, side - 1 + side % 2)
    fits = [s for s in range(1, len(SCALE_WEIGHTS) + 1) if side // 2 ** (s - 1) >= window]
    return max(fits, default=1), window


def _blur(image, window):
    """Weighted means over all windows within the image `[..., H, W, C]`, by one matrix per axis."""
    kernel = np.exp(-0.5 * ((np.arange(window) - window // 2) / (1.5 * window / MAX_WINDOW)) ** 2)

    def matrix(size):
        rows = [np.pad(kernel / kernel.sum(), (i, size - window - i)) for i in range(size - window + 1)]
        return jnp.asarray(np.stack(rows), image.dtype)

    height, width = image.shape[-3:-1]
    return jnp.einsum("ih,...hwc,jw->...ijc", matrix(height), image, matrix(width), precision="highest")


def _halve(image):
    """Average 2 x 2 blocks of `[..., H, W, C]`; an odd last row or column is dropped."""
    *batch, height, width, channels = image.shape
    even = image[..., : height // 2 * 2, : width // 2 * 2, :]
    return even.reshape(*batch, height // 2, 2, width // 2, 2, channels).mean(axis=(-4, -2))


def ms_ssim(x: jax.Array, y: jax.Array, value_range: float = 1.0) -> jax.Array:
    """Multi-scale structural similarity of images `[..., H, W, C]` with values in [0, value_range]; `[...]`, at most 1.

    Wang, Simoncelli & Bovik 2003, "Multiscale structural similarity for image quality assessment", equation 7, with
    exponents normalised over the scales used, and averaged over channels. A softplus keeps each scale's mean similarity
    above 0, so that gradients are finite; it adds 2e-6 at 0.5, 1e-3 at 0.2 and 0.03 at 0.
    """
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


class MsSsim(Reconstruction):
    """-weight * (1 - MS-SSIM(x, loc)) (Snell et al. 2017, arXiv:1511.06409). Not a density.

    Args:
      loc: `[..., D]`, the flat image; batch shape `[...]`, event shape `[D]`.
      shape: `(H, W, C)`, whose product is D.
      low: value of black.
      high: value of white.
      weight: of the loss, relative to the other terms in nats.
    """

    pytree_aux_fields = ("shape_", "low", "high", "weight")

    def __init__(self, loc, shape, low, high, weight=1.0, *, validate_args=None):
        self.shape_, self.low, self.high, self.weight = tuple(shape), low, high, weight
        if jnp.shape(loc)[-1] != math.prod(shape):
            raise ValueError(f"{jnp.shape(loc)[-1]} values are not an image of shape {tuple(shape)}")
        super().__init__(loc, event_dim=1, validate_args=validate_args)

    def log_prob(self, value):
        x, y = (jnp.reshape(v - self.low, (*jnp.shape(v)[:-1], *self.shape_)) for v in (value, self.loc))
        return -self.weight * (1 - ms_ssim(x, y, self.high - self.low))
