"""PSNR and SSIM of reconstructions and their images `[N, H, W, C]`, both in [0, 1]."""

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.optional import require

LEAST_SIDE = 3  # a window of one pixel has no variance


def fidelity(x: np.ndarray, reconstruction: np.ndarray) -> dict[str, float]:
    """Average `psnr` and `ssim` over images: `{"psnr": dB, "ssim": ...}`.

    Args:
      x: `[N, H, W, C]` in [0, 1].
      reconstruction: the same shape, in [0, 1].

    Raises:
      UserError: as `psnr`.
    """
    return {"psnr": float(psnr(x, reconstruction).mean()), "ssim": float(ssim(x, reconstruction).mean())}


def psnr(x: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio of each image, -10 log10 of its mean squared error: `[N]` dB, inf where equal.

    Raises:
      UserError: no images, images of less than 3 pixels a side, different shapes, or values outside [0, 1].
    """
    noise_ratio = require("skimage.metrics").peak_signal_noise_ratio
    pairs = _pairs(x, reconstruction)
    with np.errstate(divide="ignore"):
        return np.array([noise_ratio(*pair, data_range=1.0) for pair in pairs])


def ssim(x: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """Structural similarity of each image (Wang et al. 2004), averaged over windows and channels: `[N]`.

    Windows are uniform, of 7x7 pixels or the largest odd size that fits the image, so that numbers are comparable only
    between images of one size.

    Raises:
      UserError: as `psnr`.
    """
    similarity = require("skimage.metrics").structural_similarity
    pairs = _pairs(x, reconstruction)
    side = min(7, *pairs[0][0].shape[:2])
    window = side - 1 + side % 2
    return np.array([similarity(*pair, win_size=window, data_range=1.0, channel_axis=-1) for pair in pairs])


def _pairs(x: np.ndarray, reconstruction: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    both = [np.asarray(images, np.float64) for images in (x, reconstruction)]
    shape = both[0].shape
    if both[1].shape != shape or len(shape) != 4 or 0 in shape or min(shape[1:3]) < LEAST_SIDE:
        raise UserError(
            f"PSNR and SSIM got arrays of the shapes {list(shape)} and {list(both[1].shape)}; both must be images [N, "
            f"height, width, channels] of the same shape, at least {LEAST_SIDE} pixels wide and high."
        )
    for images in both:
        if not (images.min() >= 0 and images.max() <= 1):  # NaN too
            raise UserError(
                f"The images hold values from {images.min():.4g} to {images.max():.4g}, but PSNR and SSIM need values "
                "in [0, 1]. Scale or clip them first."
            )
    return list(zip(*both, strict=True))
