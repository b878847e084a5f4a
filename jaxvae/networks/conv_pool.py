"""Small convolutional autoencoder with max-pooling, known from tutorials, for images of any size."""

import itertools
import math
from collections.abc import Sequence

from jaxvae.common.errors import UserError
from jaxvae.networks.base import Network, check_widths
from jaxvae.networks.conv import check_options, image_size
from jaxvae.networks.conv_modules import Decoder, Encoder, Stage
from jaxvae.networks.convolution_window import window
from jaxvae.networks.mlp import ACTIVATIONS

# The kernel, stride and padding of each convolution, and the side and stride of the pooling after it.
POOLED = (((3, 3, 1), (2, 2)), ((3, 2, 1), (2, 1)))
UNPOOLED = ((3, 2, 0), (5, 3, 1), (2, 2, 1))


def conv_pool(channels: Sequence[int] = (16, 8), hidden: Sequence[int] = (), activation: str = "relu") -> Network:
    """Two convolutions with max-pooling and three transposed ones: the small autoencoder of tutorials (28 x 28 pixels).

    Conv 3 x 3, stride 3 - pool 2 x 2 - conv 3 x 3, stride 2 - pool 2 x 2, stride 1; back by 3 x 3, stride 2 - 5 x 5,
    stride 3 - 2 x 2, stride 2. The last feature map is the latent where it has as many values (32, for 28 x 28 pixels);
    else a dense layer lies between. Other image sizes are decoded slightly larger and cropped.

    Args:
      channels: of the two convolutions, and of the first two transposed ones.
      hidden: widths of dense layers between convolutions and latents, reversed in the decoder.
      activation: of the hidden layers.

    Raises:
      UserError: an option out of range, or data that is not an image.
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
    """Sides after 0, 1, 2, 3 layers of `UNPOOLED`, from the smallest start that ends with `side` or more."""
    for start in itertools.count(1):
        sides = [start]
        for kernel, stride, pad in UNPOOLED:
            sides.append((sides[-1] - 1) * stride + kernel - 2 * pad)
        if sides[-1] >= side:
            return sides
    raise AssertionError
