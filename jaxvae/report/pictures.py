"""Encode pictures for embedding in a page."""

import base64
import io

import numpy as np
from PIL import Image


def png(picture: np.ndarray) -> bytes:
    """Encode an RGB picture `[H, W, 3]`, uint8, as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png")
    return buffer.getvalue()


def png_uri(data: bytes) -> str:
    """Encode a PNG file as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def shrunk(pictures: np.ndarray, side: int) -> np.ndarray:
    """Downsample RGB pictures `[N, H, W, 3]`, uint8, to at most `side` pixels a side, by averaging."""
    height, width = pictures.shape[1:3]
    longest = max(height, width)
    if longest <= side:
        return pictures
    size = max(1, round(width * side / longest)), max(1, round(height * side / longest))
    return np.stack([np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BOX)) for one in pictures])
