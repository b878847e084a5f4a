"""Sizes of a convolution."""

from collections.abc import Sequence
from typing import NamedTuple

from jax import lax

from jaxvae.common.errors import UserError

Pair = tuple[int, int]


class Window(NamedTuple):
    """Sizes of a convolution in both directions: images, kernel, stride, and zeros before and after."""

    size: Pair
    kernel: Pair
    stride: Pair
    padding: tuple[Pair, Pair]

    @property
    def out(self) -> Pair:
        """Size of the output."""
        rows, columns = (
            (size + sum(padding) - kernel) // stride + 1
            for size, kernel, stride, padding in zip(self.size, self.kernel, self.stride, self.padding, strict=True)
        )
        return rows, columns

    @property
    def steps(self) -> Pair:
        """Kernel size in strides, rounded up."""
        return -(-self.kernel[0] // self.stride[0]), -(-self.kernel[1] // self.stride[1])


def window(size: Sequence[int], kernel: Sequence[int], stride: int | Pair, padding: str | Sequence[Pair]) -> Window:
    """Compute the sizes of a convolution of images of `size`.

    Raises:
      UserError: a stride below 1, an unknown padding, or a kernel that does not fit into the padded image.
    """
    stride = (stride, stride) if isinstance(stride, int) else (stride[0], stride[1])
    if min(*stride, *kernel, *size) < 1:
        raise UserError(f"A convolution of {list(size)} pixels got kernel {kernel}, stride {stride}; at least 1.")
    if isinstance(padding, str):
        if padding not in ("SAME", "VALID"):
            raise UserError(f"A convolution got padding='{padding}'; it must be 'SAME', 'VALID' or two pairs.")
        padding = lax.padtype_to_pads(size, kernel, stride, padding)
    (top, bottom), (left, right) = padding
    made = Window((size[0], size[1]), (kernel[0], kernel[1]), stride, ((top, bottom), (left, right)))
    if min(made.out) < 1 or min(top, bottom, left, right) < 0:
        raise UserError(f"A kernel of {list(kernel)} does not fit into {list(size)} pixels with padding {padding}.")
    return made
