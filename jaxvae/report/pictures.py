"""Encode pictures for embedding in a page."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from jaxvae.report.figures import tile

LEAST_SIDE = 8  # pixels of a thumbnail
QUALITY = 85  # of a JPEG, of 100


def png(picture: np.ndarray) -> bytes:
    """Encode an RGB picture `[H, W, 3]`, uint8, as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png")
    return buffer.getvalue()


def png_uri(data: bytes) -> str:
    """Encode a PNG file as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def within(pictures: Sequence[bytes], most: int) -> list[str]:
    """Encode PNG files as data URIs of about `most` characters together.

    A picture larger than its equal share becomes a JPEG, with as many pixels as fit.
    """
    return [_within(one, most // len(pictures)) for one in pictures]


def sprite(pictures: np.ndarray, columns: int, side: int, most: int) -> tuple[str, tuple[int, int]]:
    """Tile RGB pictures `[N, H, W, 3]`, uint8, into one of at most `most` characters: `(data URI, (height, width))`.

    They have at most `side` pixels a side, fewer where they would not fit.
    """
    while True:
        small = shrunk(pictures, side)
        uri = _within(png(tile(small, columns, gap=0)), most, scales=(1.0,))
        if len(uri) <= most or side <= LEAST_SIDE:
            return uri, (small.shape[1], small.shape[2])
        side //= 2


def _within(data: bytes, most: int, scales: Sequence[float] = (1.0, 0.7, 0.5, 0.35, 0.25)) -> str:
    found = png_uri(data)
    with Image.open(io.BytesIO(data)) as opened:
        picture = opened.convert("RGB")
    for scale in scales:
        if len(found) <= most:
            break
        size = round(picture.width * scale), round(picture.height * scale)
        buffer = io.BytesIO()
        picture.resize(size, Image.Resampling.BOX).save(buffer, "jpeg", quality=QUALITY)
        found = f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return found


def shrunk(pictures: np.ndarray, side: int) -> np.ndarray:
    """Downsample RGB pictures `[N, H, W, 3]`, uint8, to at most `side` pixels a side, by averaging."""
    height, width = pictures.shape[1:3]
    longest = max(height, width)
    if longest <= side:
        return pictures
    size = max(1, round(width * side / longest)), max(1, round(height * side / longest))
    return np.stack([np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BOX)) for one in pictures])
