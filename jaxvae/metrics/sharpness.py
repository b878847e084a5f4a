"""Sharpness of images `[N, H, W, C]`: the variance of their Laplacian."""

import numpy as np

from jaxvae.common.errors import UserError

LEAST_SIDE = 2  # pixels that a reflection needs


def sharpness(images: np.ndarray) -> np.ndarray:
    """Variance of the Laplacian of each image, `[N]` (Pech-Pacheco et al. 2000), the mean over its channels.

    The Laplacian is the sum of the four neighbours minus four times the pixel, with the image mirrored at its borders.
    Blur lowers the variance, noise raises it: compare images of one kind and size alone.

    Args:
      images: `[N, H, W, C]`, finite, at least 2 pixels a side, in the same range where they are compared.

    Raises:
      UserError: no images of this shape, or values that are not finite.
    """
    x = np.asarray(images, np.float64)
    if x.ndim != 4 or 0 in x.shape or min(x.shape[1:3]) < LEAST_SIDE:
        raise UserError(
            f"Sharpness got an array of the shape {list(x.shape)}; it must be images [N, height, width, channels], at "
            f"least {LEAST_SIDE} pixels wide and high."
        )
    if not np.isfinite(x).all():
        raise UserError("Sharpness got images with values that are not finite.")
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    beside = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
    return (beside - 4 * x).var(axis=(1, 2)).mean(axis=-1)
