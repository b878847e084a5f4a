"""A folder of images, and what is read from it both ways, for the tests of streaming."""

import jax
import numpy as np
from PIL import Image

from jaxvae import data
from jaxvae.data.stream import Rows

NUM = 40


def draw(path, seed=0, size=(5, 6), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def image_folder(folder):
    """A folder of grey cats and colored dogs, two of them broken."""
    for i in range(NUM):
        draw(folder / ("cats" if i % 2 else "dogs") / f"{i:02}.png", i, mode="L" if i % 2 else "RGB")
    whole = (folder / "cats" / "01.png").read_bytes()
    (folder / "cats" / "01.png").write_bytes(whole[: len(whole) // 2])
    (folder / "junk.jpg").write_bytes(b"no image")
    return folder


def memory_and_streamed(images):
    """`(**options) -> (in memory, streamed)` of that folder."""
    options = {"path": str(images), "cache_dir": str(images.parent / "cache")}
    return lambda **more: tuple(data.load(**options, **more, stream=stream) for stream in (False, True))


def assert_same(memory, streamed):
    assert (memory.shape, memory.max_value, memory.factor_names) == (
        streamed.shape, streamed.max_value, streamed.factor_names,
    )  # fmt: skip
    for one, other in zip(memory[1:4], streamed[1:4], strict=True):
        assert isinstance(other.x, Rows)
        assert (one.x.shape, one.x.dtype, one.x.ndim, one.x.nbytes) == (
            other.x.shape, other.x.dtype, other.x.ndim, other.x.nbytes,
        )  # fmt: skip
        jax.tree.map(np.testing.assert_array_equal, tuple(one), (np.asarray(other.x), *other[1:]))
        assert data.checksum(one) == data.checksum(other)
