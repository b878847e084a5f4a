"""Pictures as a page embeds them."""

import base64
import io

import numpy as np
from PIL import Image


def png(picture: np.ndarray) -> bytes:
    """An RGB picture `[H, W, 3]`, uint8, as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png")
    return buffer.getvalue()


def png_uri(data: bytes) -> str:
    """A PNG file as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def shrunk(pictures: np.ndarray, side: int) -> np.ndarray:
    """RGB pictures `[N, H, W, 3]`, uint8, with at most `side` pixels a side, each the mean of those it stands for."""
    height, width = pictures.shape[1:3]
    longest = max(height, width)
    if longest <= side:
        return pictures
    size = max(1, round(width * side / longest)), max(1, round(height * side / longest))
    return np.stack([np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BOX)) for one in pictures])
