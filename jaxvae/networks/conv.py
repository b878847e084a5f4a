"""Convolutional networks for images `[H, W, C]` of any size and number of channels."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import flax.linen as nn

from jaxvae.errors import UserError, unknown
from jaxvae.networks.base import Network, check_widths
from jaxvae.networks.convolution import Pair, Window, convolve, convolve_transposed, window
from jaxvae.networks.mlp import ACTIVATIONS, MLP
from jaxvae.types import Array

NORMS = ("none", "group")
SMALL_SIDE, WIDEST = 4, 256  # where the default stages end; the widest of them
# Of He's variance in hidden layers and of Glorot's in the last one, which starts near grey, as in `MLP`.
HIDDEN_SCALE, OUTPUT_SCALE = 1.0, 1 / 10


class Conv(nn.Module):
    """A convolution of images `[N, H, W, C]` with a bias; where `transposed`, from the window's output to its input."""

    window: Window
    channels: int
    transposed: bool = False
    scale: float = 2 * HIDDEN_SCALE

    @nn.compact
    def __call__(self, x: Array) -> Array:
        sizes = self.window
        area = math.prod(sizes.kernel)
        # Pixels that one output sums over; overlapping windows of a transposed one take turns.
        fan_in = x.shape[-1] * (area / math.prod(sizes.stride) if self.transposed else area)
        shape = (self.channels, x.shape[-1]) if self.transposed else (x.shape[-1], self.channels)
        init = nn.initializers.truncated_normal(math.sqrt(self.scale / max(fan_in, 1)))
        kernel = self.param("kernel", init, (*sizes.kernel, *shape)).astype(x.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,)).astype(x.dtype)
        if self.transposed:
            return convolve_transposed(x, kernel, sizes.stride, sizes.padding, sizes.size) + bias
        return convolve(x, kernel, sizes.stride, sizes.padding) + bias


class Stage(NamedTuple):
    """A convolution to so many channels, and the side and the stride of the max-pooling after it (1, 1: none)."""

    window: Window
    channels: int
    pool: Pair = (1, 1)

    @property
    def out(self) -> tuple[int, int, int]:
        """The shape after it."""
        side, stride = self.pool
        rows, columns = ((n - min(side, n)) // stride + 1 for n in self.window.out)
        return rows, columns, self.channels


class Encoder(nn.Module):
    """Images `[..., H, W, C]` to `[..., num_outputs]`: convolutions, then dense layers, which see the context too.

    Where what comes out of the convolutions is as large as the outputs, and `keep_size`, no dense layer follows.
    """

    data_shape: tuple[int, ...]
    stages: tuple[Stage, ...]
    hidden: tuple[int, ...]
    num_outputs: int
    activation: Callable[[Array], Array]
    groups: int = 0
    keep_size: bool = False

    @nn.compact
    def __call__(self, x: Array, context: Array | None = None) -> Array:
        batch = x.shape[: x.ndim - len(self.data_shape)]
        x = x.reshape(math.prod(batch), *self.data_shape)
        for stage in self.stages:
            x = Conv(stage.window, stage.channels)(x)
            x = self.activation(nn.GroupNorm(self.groups)(x) if self.groups else x)
            if stage.pool != (1, 1):
                side, stride = stage.pool
                x = nn.max_pool(x, (min(side, x.shape[1]), min(side, x.shape[2])), (stride, stride))
        x = x.reshape(*batch, math.prod(x.shape[1:]))
        if self.keep_size and context is None and not self.hidden and x.shape[-1] == self.num_outputs:
            return x
        return MLP(x.shape[-1:], self.hidden, (self.num_outputs,), self.activation)(x, context)


class Decoder(nn.Module):
    """Latents `[..., *latent_shape]` to `[..., *output_shape]`: dense layers, then transposed convolutions, cropped."""

    latent_shape: tuple[int, ...]
    stages: tuple[Stage, ...]  # each from its window's output to its input, the first with `start` channels
    start: int
    hidden: tuple[int, ...]
    output_shape: tuple[int, ...]
    activation: Callable[[Array], Array]
    groups: int = 0
    keep_size: bool = False

    @nn.compact
    def __call__(self, z: Array, context: Array | None = None) -> Array:
        batch = z.shape[: z.ndim - len(self.latent_shape)]
        start = (*self.stages[0].window.out, self.start)
        if not (
            self.keep_size and context is None and not self.hidden and math.prod(self.latent_shape) == math.prod(start)
        ):
            z = self.activation(MLP(self.latent_shape, self.hidden, start, self.activation)(z, context))
        x = z.reshape(math.prod(batch), *start)
        for i, (win, channels, _) in enumerate(self.stages):
            if i == len(self.stages) - 1:
                x = Conv(win, channels, transposed=True, scale=OUTPUT_SCALE)(x)
            else:
                x = Conv(win, channels, transposed=True)(x)
                x = self.activation(nn.GroupNorm(self.groups)(x) if self.groups else x)
        rows, columns = self.output_shape[:2]
        top, left = (x.shape[1] - rows) // 2, (x.shape[2] - columns) // 2
        return x[:, top : top + rows, left : left + columns].reshape(*batch, *self.output_shape)


def image_size(network: str, shape: tuple[int, ...]) -> Pair:
    """H and W of data `[H, W, C]`, or of outputs `[H, W, C, per value]`; raises UserError where it is no image."""
    if len(shape) not in (3, 4) or min(shape) < 1:
        raise UserError(
            f"The network '{network}' is for images [height, width, channels], but an example has shape {list(shape)}. "
            "Take the network 'mlp'."
        )
    return shape[0], shape[1]


def strided(network: str, size: Pair, channels: tuple[int, ...], kernel: int, stride: int) -> tuple[Stage, ...]:
    """One strided convolution for each of `channels`; where there are none, two or more, to `SMALL_SIDE` pixels."""
    if kernel > min(size):
        raise UserError(f"The network '{network}' got kernel={kernel}, but the images have {list(size)} pixels.")
    stages, at = [], size
    for i in itertools.count():
        ends = i and min(at) <= (SMALL_SIDE if i > 1 else 1)
        if i == len(channels) if channels else ends:
            return tuple(stages)
        if stride > 1 and min(at) == 1:
            raise UserError(
                f"The network '{network}' got {len(channels)} stages, but images of {list(size)} pixels have but 1 row "
                f"or column left after {i} steps of stride {stride}. Give fewer channels, or () for as many as fit."
            )
        win = window(at, (kernel, kernel), stride, "SAME")
        stages.append(Stage(win, channels[i] if channels else min(32 * 2**i, WIDEST)))
        at = win.out
    raise AssertionError


def check_options(network: str, activation: str, norm: str, groups: int, channels: Sequence[int], **sizes: int) -> None:
    """Raises UserError for a value that there is not."""
    if activation not in ACTIVATIONS:
        raise unknown("activation", activation, ACTIVATIONS)
    if norm not in NORMS:
        raise unknown("norm", norm, NORMS)
    for name, value in {**sizes, "groups": groups}.items():
        if value < 1:
            raise UserError(f"The network '{network}' got {name}={value}; it must be 1 or more.")
    if norm == "group" and (wrong := [width for width in channels if width % groups]):
        raise UserError(f"The network '{network}' got groups={groups}, which does not divide {wrong[0]} channels.")


def conv(
    channels: Sequence[int] = (),
    kernel: int = 4,
    stride: int = 2,
    hidden: Sequence[int] = (),
    activation: str = "relu",
    norm: str = "none",
    groups: int = 8,
) -> Network:
    """Strided convolutions, and transposed ones back through the same sizes (DCGAN, arXiv:1511.06434).

    Args:
      channels: of the encoder's stages, the decoder's in reverse; () for 32, 64 ... 256, two or more, until a side of
        the image has at most 4 pixels.
      kernel: the side of each, with zeros around ("SAME").
      stride: of each.
      hidden: widths of dense layers between the encoder's convolutions and its outputs, the decoder's in reverse.
      activation: of the hidden layers.
      norm: "none", or "group" for group normalisation (arXiv:1803.08494) of hidden convolutions.
      groups: how many groups of channels that has.

    Raises:
      UserError: an option that is out of range; with data that is no image or is too small for kernel or stages.
    """
    check_widths(hidden=hidden, channels=channels)
    check_options("conv", activation, norm, groups, channels or (32,), kernel=kernel, stride=stride)
    if not channels and stride == 1:
        raise UserError("The network 'conv' got stride=1, which makes no image smaller: give it channels too.")
    channels, hidden = tuple(channels), tuple(hidden)
    rest = ACTIVATIONS[activation], groups if norm == "group" else 0

    def encoder(data_shape, num_outputs):
        stages = strided("conv", image_size("conv", data_shape), channels, kernel, stride)
        return Encoder(data_shape, stages, hidden, num_outputs, *rest)

    def decoder(latent_shape, output_shape):
        stages = strided("conv", image_size("conv", output_shape), channels, kernel, stride)
        widths = [math.prod(output_shape[2:]), *(stage.channels for stage in stages)]
        back = tuple(Stage(s.window, width) for s, width in zip(stages, widths[:-1], strict=True))[::-1]
        return Decoder(latent_shape, back, widths[-1], hidden[::-1], output_shape, *rest)

    return Network(encoder, decoder, loops=False)


# The kernel, stride and padding of each convolution, and the side and stride of the pooling after it.
POOLED = (((3, 3, 1), (2, 2)), ((3, 2, 1), (2, 1)))
UNPOOLED = ((3, 2, 0), (5, 3, 1), (2, 2, 1))


def conv_pool(channels: Sequence[int] = (16, 8), hidden: Sequence[int] = (), activation: str = "relu") -> Network:
    """Two convolutions with max-pooling and three transposed ones: the tutorials' small autoencoder of 28 x 28 pixels.

    Conv 3 x 3, stride 3 - pool 2 x 2 - conv 3 x 3, stride 2 - pool 2 x 2, stride 1; back by 3 x 3, stride 2 - 5 x 5,
    stride 3 - 2 x 2, stride 2. Where the latents are as many as the last feature map has values (32, for 28 x 28
    pixels), they are it; else a dense layer lies between. Other sizes are decoded a little larger and cropped.

    Args:
      channels: of the two convolutions; the first two transposed ones have the same.
      hidden: widths of dense layers between convolutions and latents, the decoder's in reverse.
      activation: of the hidden layers.

    Raises:
      UserError: an option that is out of range; with data that is no image.
    """
    check_widths(hidden=hidden, channels=channels)
    check_options("conv_pool", activation, "none", 1, channels)
    if len(channels) != 2:
        raise UserError(f"The network 'conv_pool' got channels={tuple(channels)}; it must be two widths.")
    first, last = channels
    hidden, function = tuple(hidden), ACTIVATIONS[activation]

    def encoder(data_shape, num_outputs):
        stages, at = [], image_size("conv_pool", data_shape)
        for (kernel, stride, pad), pool, width in zip(*zip(*POOLED, strict=True), (first, last), strict=True):
            win = window(at, (kernel, kernel), stride, ((pad, pad), (pad, pad)))
            stages.append(Stage(win, width, pool))
            at = stages[-1].out[:2]
        return Encoder(data_shape, tuple(stages), hidden, num_outputs, function, keep_size=True)

    def decoder(latent_shape, output_shape):
        rows, columns = (_grown(side) for side in image_size("conv_pool", output_shape))
        stages = []
        for i, ((kernel, stride, pad), width) in enumerate(
            zip(UNPOOLED, (first, last, math.prod(output_shape[2:])), strict=True)
        ):
            size = rows[i + 1], columns[i + 1]
            stages.append(Stage(window(size, (kernel, kernel), stride, ((pad, pad), (pad, pad))), width))
        return Decoder(latent_shape, tuple(stages), last, hidden[::-1], output_shape, function, keep_size=True)

    return Network(encoder, decoder, loops=False)


def _grown(side: int) -> list[int]:
    """The sides after 0, 1, 2, 3 of `UNPOOLED`, from the smallest start that ends with `side` or more."""
    for start in itertools.count(1):
        sides = [start]
        for kernel, stride, pad in UNPOOLED:
            sides.append((sides[-1] - 1) * stride + kernel - 2 * pad)
        if sides[-1] >= side:
            return sides
    raise AssertionError
