"""Crop images to their central square and resize them."""

from typing import Any

import numpy as np
from PIL import Image

from jaxvae.common.errors import UserError


def resize(x: np.ndarray, image_size: int) -> np.ndarray:
    """Crop images `[N, H, W, C]` to their central square and resize to `image_size`; 0 leaves them unchanged."""
    if not image_size or x.shape[1:3] == (image_size, image_size):
        return x
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[-1] not in (1, 3) or not x.size or image_size < 0:
        raise UserError(
            f"data.image_size is {image_size}, but the data is {x.dtype} of shape {x.shape}. Only 8-bit images "
            "[N, height, width, 1 or 3] can be resized, to 1 pixel or more."
        )
    return np.stack([resize_image(image, image_size) for image in x])


def as_image(image: Any, image_size: int = 0) -> np.ndarray:
    """Convert an image `[H, W, C]` or `[H, W]` to `[H, W, C]`, resized where `image_size` is above 0."""
    image = np.asarray(image)
    image = image[..., None] if image.ndim == 2 else image
    return resize_image(image, image_size) if image_size else image


def resize_image(image: np.ndarray, image_size: int) -> np.ndarray:
    """Crop a uint8 image `[H, W, 1 or 3]` to its central square and resize it to `[image_size, image_size, C]`.

    Raises:
      UserError: it is not such an image.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in (1, 3) or not image.size:
        raise UserError(
            f"data.image_size is {image_size}, but an image is {image.dtype} of shape {image.shape}. Only 8-bit images "
            "[height, width, 1 or 3] can be resized."
        )
    height, width, channels = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(image[top : top + side, left : left + side, 0 if channels == 1 else slice(None)])
    small = square.resize(
        (image_size, image_size), Image.Resampling.BOX if side > image_size else Image.Resampling.BILINEAR
    )
    return np.asarray(small).reshape(image_size, image_size, channels)
