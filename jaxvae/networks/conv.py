"""Convolutional networks for images `[H, W, C]` of any size and number of channels."""

import itertools
import math
from collections.abc import Sequence

from jaxvae.common.errors import UserError, unknown
from jaxvae.networks.base import Network, check_widths
from jaxvae.networks.conv_modules import Decoder, Encoder, Stage
from jaxvae.networks.convolution_window import Pair, window
from jaxvae.networks.mlp import ACTIVATIONS
from jaxvae.networks.spatial import check_spatial

NORMS = ("none", "group")
SMALL_SIDE, WIDEST = 4, 256  # of the default stages: the side where they end, and their largest width


def image_size(network: str, shape: tuple[int, ...]) -> Pair:
    """Return H and W of data `[H, W, C]`, or of outputs `[H, W, C, per value]`; UserError for other shapes."""
    if len(shape) not in (3, 4) or min(shape) < 1:
        raise UserError(
            f"The network '{network}' is for images [height, width, channels], but an example has shape {list(shape)}. "
            "Take the network 'mlp'."
        )
    return shape[0], shape[1]


def strided(network: str, size: Pair, channels: tuple[int, ...], kernel: int, stride: int) -> tuple[Stage, ...]:
    """Stack a strided convolution for each of `channels`; without channels, two or more, down to `SMALL_SIDE`."""
    if kernel > min(size):
        raise UserError(f"The network '{network}' got kernel={kernel}, but the images have {list(size)} pixels.")
    stages, at = [], size
    for i in itertools.count():
        ends = i and min(at) <= (SMALL_SIDE if i > 1 else 1)
        if i == len(channels) if channels else ends:
            return tuple(stages)
        if stride > 1 and min(at) == 1:
            raise UserError(
                f"The network '{network}' got {len(channels)} stages, but images of {list(size)} pixels have only 1 "
                f"row or column left after {i} steps of stride {stride}. Give fewer channels, or () for as many as fit."
            )
        win = window(at, (kernel, kernel), stride, "SAME")
        stages.append(Stage(win, channels[i] if channels else min(32 * 2**i, WIDEST)))
        at = win.out
    raise AssertionError


def check_options(network: str, activation: str, norm: str, groups: int, channels: Sequence[int], **sizes: int) -> None:
    """Raise UserError for an unknown activation or norm, or a size out of range."""
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
    latent_channels: int = 0,
) -> Network:
    """Strided convolutions, and transposed ones through the same sizes in reverse (DCGAN, arXiv:1511.06434).

    Args:
      channels: of the encoder's stages, reversed in the decoder; () for 32, 64 ... 256, two or more, until a side of
        the image has at most 4 pixels.
      kernel: side of each kernel, with zero padding ("SAME").
      stride: of each convolution.
      hidden: widths of dense layers between the encoder's convolutions and its outputs, reversed in the decoder.
      activation: of the hidden layers.
      norm: "none", or "group" for group normalisation (arXiv:1803.08494) of hidden convolutions.
      groups: number of groups of channels for group normalisation.
      latent_channels: a spatial latent, see `resnet`.

    Raises:
      UserError: an option out of range; data that is not an image, or is too small for kernel or stages; dense layers
        beside a spatial latent, or one of another size.
    """
    check_widths(hidden=hidden, channels=channels)
    check_spatial("conv", latent_channels, hidden)
    check_options("conv", activation, norm, groups, channels or (32,), kernel=kernel, stride=stride)
    if not channels and stride == 1:
        raise UserError("The network 'conv' got stride=1, which does not shrink images: give it channels too.")
    channels, hidden = tuple(channels), tuple(hidden)
    rest = ACTIVATIONS[activation], groups if norm == "group" else 0

    def encoder(data_shape, num_outputs):
        stages = strided("conv", image_size("conv", data_shape), channels, kernel, stride)
        return Encoder(data_shape, stages, hidden, num_outputs, *rest, latent_channels=latent_channels)

    def decoder(latent_shape, output_shape):
        stages = strided("conv", image_size("conv", output_shape), channels, kernel, stride)
        widths = [math.prod(output_shape[2:]), *(stage.channels for stage in stages)]
        back = tuple(Stage(s.window, width) for s, width in zip(stages, widths[:-1], strict=True))[::-1]
        shapes = latent_shape, back, widths[-1], hidden[::-1], output_shape
        return Decoder(*shapes, *rest, latent_channels=latent_channels)

    return Network(encoder, decoder, loops=False)
