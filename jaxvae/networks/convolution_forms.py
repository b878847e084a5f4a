"""The trilinear map sum y * convolve(x, w) and its transposes, in forms that are fast on CPU and GPU.

`down` is linear in x and w, `up` in y and w, `by_kernel` in x and y; each is a transpose of the others. `stock` and
`stock_up` are XLA's own.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxvae.common.types import Array
from jaxvae.networks.convolution_window import Pair, Window

FEW_CHANNELS = 8  # fewer leave the lanes of a core idle
MUCH_WASTE = 1.4  # ratio of computed to kept pixels from which `_columns_up` is faster than `_blocks_up`, which crops


def transpose(form: Callable[[Any], Any], shape: tuple[int, ...], value: Array) -> Array:
    """Apply the transpose of a linear function, whose argument has this shape, to `value`."""
    return jax.linear_transpose(form, jax.ShapeDtypeStruct(shape, value.dtype))(value)[0]


def stock(x: Array, w: Array, sizes: Window) -> Array:
    """Convolve x `[N, H, W, C]` with w `[h, w, C, O]`: `[N, H', W', O]`."""
    return lax.conv_general_dilated(
        x, w, sizes.stride, sizes.padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )  # fmt: skip


def stock_up(y: Array, w: Array, sizes: Window) -> Array:
    """Transpose of the convolution by the images."""
    return transpose(lambda x: stock(x, w, sizes), (y.shape[0], *sizes.size, w.shape[2]), y)


def down(x: Array, w: Array, sizes: Window) -> Array:
    """Convolve, in blocks where the channels are few."""
    return _blocks_down(x, w, sizes) if x.shape[3] < FEW_CHANNELS else stock(x, w, sizes)


def up(y: Array, w: Array, sizes: Window) -> Array:
    """Transpose of the convolution by the images.

    By columns where they cost less: a matrix product, whose results for the pixels of each window are summed.
    """
    if max(sizes.stride) == 1:
        return _blocks_up(y, w, sizes)
    computed = math.prod(high - low for low, high in _blocks(sizes))
    few = w.shape[2] < FEW_CHANNELS or computed >= MUCH_WASTE * math.prod(sizes.out)
    return (_columns_up if few else _blocks_up)(y, w, sizes)


def by_kernel(x: Array, y: Array, sizes: Window) -> Array:
    """Transpose of the convolution by the kernel, `[h, w, C, O]`."""
    if any(out > size for out, size in zip(sizes.out, sizes.size, strict=True)):
        # Padded first, so that x is not smaller than y: XLA would swap them, and has no fast code for that case.
        before = [pad for pad, _ in sizes.padding]
        reach = [(n - 1) * s + k for n, s, k in zip(sizes.out, sizes.stride, sizes.kernel, strict=True)]
        after = [n - b - size for n, b, size in zip(reach, before, sizes.size, strict=True)]
        x = _pad(x, (before[0], after[0]), (before[1], after[1]))
        sizes = sizes._replace(size=x.shape[1:3], padding=((0, 0), (0, 0)))
    return transpose(lambda w: stock(x, w, sizes), (*sizes.kernel, x.shape[3], y.shape[3]), y)


def _pad(x: Array, rows: Pair, columns: Pair) -> Array:
    """Pad images with zeros; negative numbers crop."""
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), (*rows, 0), (*columns, 0), (0, 0, 0)))


# Blocks of stride x stride pixels become the channels of one pixel, so that a kernel of blocks has stride 1.


def _to_blocks(x: Array, stride: Pair) -> Array:
    n, h, w, c = x.shape
    x = x.reshape(n, h // stride[0], stride[0], w // stride[1], stride[1], c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h // stride[0], w // stride[1], -1)


def _from_blocks(x: Array, stride: Pair) -> Array:
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, *stride, c // math.prod(stride)).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h * stride[0], w * stride[1], -1)


def _kernel_of_blocks(w: Array, sizes: Window) -> Array:
    """Reshape `[h, w, C, O]` to `[steps, steps, C * block, O]`, zero-padded where the stride does not divide it."""
    (rows, columns), (down, right) = sizes.steps, sizes.stride
    w = jnp.pad(w, ((0, rows * down - w.shape[0]), (0, columns * right - w.shape[1]), (0, 0), (0, 0)))
    w = w.reshape(rows, down, columns, right, *w.shape[2:]).transpose(0, 2, 1, 3, 4, 5)
    return w.reshape(rows, columns, -1, w.shape[-1])


def _blocks(sizes: Window) -> tuple[Pair, Pair]:
    """Ranges of block rows and block columns that hold the image; counting starts with the padding."""
    found = [
        (before // stride, -(-(before + size) // stride))
        for size, stride, (before, _) in zip(sizes.size, sizes.stride, sizes.padding, strict=True)
    ]
    return found[0], found[1]


def _blocks_down(x: Array, w: Array, sizes: Window) -> Array:
    (top, _), (left, _) = sizes.padding
    reach = [(n - 1 + m) * s for n, m, s in zip(sizes.out, sizes.steps, sizes.stride, strict=True)]
    x = _pad(x, (top, reach[0] - top - x.shape[1]), (left, reach[1] - left - x.shape[2]))
    y = _to_blocks(x, sizes.stride)
    return lax.conv_general_dilated(
        y, _kernel_of_blocks(w, sizes), (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _blocks_up(y: Array, w: Array, sizes: Window) -> Array:
    """Compute each block from the few y whose windows cover it, with the flipped kernel."""
    kernel = _kernel_of_blocks(w, sizes)[::-1, ::-1].transpose(0, 1, 3, 2)
    blocks = _blocks(sizes)
    around = [(m - 1 - low, high - n) for (low, high), m, n in zip(blocks, sizes.steps, sizes.out, strict=True)]
    x = lax.conv_general_dilated(
        _pad(y, *around), kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )  # fmt: skip
    return _crop(_from_blocks(x, sizes.stride), blocks, sizes)


def _crop(x: Array, blocks: tuple[Pair, Pair], sizes: Window) -> Array:
    """Crop the image from its blocks."""
    before = [pad - low * s for (pad, _), (low, _), s in zip(sizes.padding, blocks, sizes.stride, strict=True)]
    after = [size + b - n for size, b, n in zip(sizes.size, before, x.shape[1:3], strict=True)]
    return _pad(x, (-before[0], after[0]), (-before[1], after[1]))


def _columns_up(y: Array, w: Array, sizes: Window) -> Array:
    rows, columns = y.shape[1:3]
    kernel = _kernel_of_blocks(w, sizes)
    high, wide = sizes.steps
    x = jnp.einsum("nrco,ijbo->nrcijb", y, kernel)
    terms = [_pad(x[:, :, :, i, j], (i, high - 1 - i), (j, wide - 1 - j)) for i in range(high) for j in range(wide)]
    return _crop(
        _from_blocks(sum(terms[1:], terms[0]), sizes.stride), ((0, rows + high - 1), (0, columns + wide - 1)), sizes
    )
