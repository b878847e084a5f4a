"""Residual networks for images `[H, W, C]` of any size and number of channels."""

import math
from collections.abc import Callable, Sequence

import flax.linen as nn

from jaxvae.common.types import Array
from jaxvae.networks.base import Network, check_widths
from jaxvae.networks.conv import check_options, image_size, strided
from jaxvae.networks.conv_modules import OUTPUT_SCALE, Conv, Modulation, Stage, flat
from jaxvae.networks.convolution_window import Pair, window
from jaxvae.networks.mlp import ACTIVATIONS, MLP
from jaxvae.networks.spatial import as_map, as_outputs, check_outputs, check_spatial, map_window

KERNEL, STRIDE = 4, 2  # of convolutions that halve or double the image; those of blocks are 3 x 3
BRANCH_SCALE = 1 / 10  # of the last weights of a branch, so that a new block is nearly the identity


class Block(nn.Module):
    """X + conv(act(norm(conv(act(norm(x)))))), images `[N, H, W, C]` (arXiv:1603.05027, figure 4e, with group norm).

    A context `[N, K]` scales and shifts the channels after the second norm.
    """

    activation: Callable[[Array], Array]
    groups: int

    @nn.compact
    def __call__(self, x: Array, context: Array | None = None) -> Array:
        win = window((x.shape[1], x.shape[2]), (3, 3), 1, "SAME")
        y = Conv(win, x.shape[-1])(self.activation(nn.GroupNorm(self.groups)(x)))
        y = self.activation(Modulation()(nn.GroupNorm(self.groups)(y), context))
        return x + Conv(win, x.shape[-1], scale=BRANCH_SCALE)(y)


class Encoder(nn.Module):
    """Map images `[..., H, W, C]` to `[..., num_outputs]`: stages of a halving convolution and blocks."""

    data_shape: tuple[int, ...]
    stages: tuple[Stage, ...]
    blocks: int
    hidden: tuple[int, ...]
    num_outputs: int
    activation: Callable[[Array], Array]
    groups: int
    latent_channels: int = 0

    @nn.compact
    def __call__(self, x: Array, context: Array | None = None) -> Array:
        batch = x.shape[: x.ndim - len(self.data_shape)]
        x, beside = x.reshape(math.prod(batch), *self.data_shape), flat(context, batch)
        for stage in self.stages:
            x = Conv(stage.window, stage.channels)(x)
            for _ in range(self.blocks):
                x = Block(self.activation, self.groups)(x, beside)
            self.sow("intermediates", "features", x)
        x = self.activation(nn.GroupNorm(self.groups)(x))
        if self.latent_channels:
            size = self.stages[-1].window.out
            kinds = check_outputs("resnet", size, self.latent_channels, self.num_outputs)
            x = Conv(map_window(size), kinds * self.latent_channels, scale=OUTPUT_SCALE)(x)
            return as_outputs(x, self.latent_channels).reshape(*batch, self.num_outputs)
        x = x.reshape(*batch, -1)
        return MLP(x.shape[-1:], self.hidden, (self.num_outputs,), self.activation)(x, context)


class Decoder(nn.Module):
    """Map latents `[..., *latent_shape]` to `[..., *output_shape]`: stages of blocks and a doubling convolution."""

    latent_shape: tuple[int, ...]
    stages: tuple[Stage, ...]  # of the encoder, from the last to the first
    blocks: int
    hidden: tuple[int, ...]
    output_shape: tuple[int, ...]
    activation: Callable[[Array], Array]
    groups: int
    latent_channels: int = 0

    @property
    def last_layer(self) -> str:
        """Return the name of the parameters of the last layer."""
        return f"Conv_{len(self.stages) - (0 if self.latent_channels else 1)}"

    @nn.compact
    def __call__(self, z: Array, context: Array | None = None) -> Array:
        batch = z.shape[: z.ndim - len(self.latent_shape)]
        beside = flat(context, batch)
        if self.latent_channels:
            size, num = self.stages[0].window.out, math.prod(batch)
            x = as_map("resnet", z.reshape(num, *self.latent_shape), size, self.latent_channels)
            x = Conv(map_window(size), self.stages[0].channels)(x)
        else:
            x = MLP(self.latent_shape, self.hidden, self.stages[0].out, self.activation)(z, context)
            x = x.reshape(math.prod(batch), *self.stages[0].out)
        widths = [stage.channels for stage in self.stages[1:]]
        for i, stage in enumerate(self.stages):
            for _ in range(self.blocks):
                x = Block(self.activation, self.groups)(x, beside)
            x = self.activation(nn.GroupNorm(self.groups)(x))
            if i < len(widths):
                x = Conv(stage.window, widths[i], transposed=True)(x)
        x = Conv(self.stages[-1].window, math.prod(self.output_shape[2:]), transposed=True, scale=OUTPUT_SCALE)(x)
        return x.reshape(*batch, *self.output_shape)


def resnet(
    channels: Sequence[int] = (),
    blocks: int = 1,
    hidden: Sequence[int] = (),
    activation: str = "silu",
    groups: int = 8,
    latent_channels: int = 0,
) -> Network:
    """Residual blocks with group norm between convolutions that halve, or double, the image (arXiv:1512.03385).

    Args:
      channels: of the encoder's stages, reversed in the decoder; () for 32, 64 ... 256, two or more, until a side of
        the image has at most 4 pixels.
      blocks: per stage.
      hidden: widths of dense layers between the encoder's convolutions and its outputs, reversed in the decoder.
      activation: of the hidden layers.
      groups: number of groups of channels for group normalisation (arXiv:1803.08494).
      latent_channels: above 0: a spatial latent with so many values at each position of the last feature map, and no
        dense layer; `model.latent_dim` is then rows x columns x latent_channels, or rows x columns for codes.

    Raises:
      UserError: an option out of range; data that is not an image, or is too small for the stages; dense layers beside
        a spatial latent, or one of another size.
    """
    check_widths(hidden=hidden, channels=channels)
    check_options("resnet", activation, "group", groups, channels or (32,), blocks=blocks)
    check_spatial("resnet", latent_channels, hidden)
    channels, hidden, function = tuple(channels), tuple(hidden), ACTIVATIONS[activation]

    def stages(size: Pair) -> tuple[Stage, ...]:
        return strided("resnet", size, channels, KERNEL, STRIDE)

    def encoder(data_shape, num_outputs):
        made = stages(image_size("resnet", data_shape))
        return Encoder(data_shape, made, blocks, hidden, num_outputs, function, groups, latent_channels)

    def decoder(latent_shape, output_shape):
        made = stages(image_size("resnet", output_shape))[::-1]
        rest = blocks, hidden[::-1], output_shape, function, groups, latent_channels
        return Decoder(latent_shape, made, *rest)

    return Network(encoder, decoder, loops=False)
