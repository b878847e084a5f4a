"""Discriminators: networks whose outputs are scores of an example, with the features of their hidden layers."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.types import Array
from jaxvae.networks.base import Functions, check_widths
from jaxvae.networks.conv import check_options, image_size, strided
from jaxvae.networks.conv_modules import OUTPUT_SCALE, Conv, Modulation, Stage
from jaxvae.networks.convolution_window import window
from jaxvae.networks.mlp import ACTIVATIONS, OUTPUT_INIT


class DiscriminatorNetwork(NamedTuple):
    """Builder of a discriminator: a Flax Linen module, or `Functions` of any other library.

    Attributes:
      build: `(input_shape) -> network`, a map from `[N, *input_shape]`, and a context `[N, C]` where there is one, to
        `(scores, features)`: scores `[N]`, or `[N, ...]` of patches, and a list of features `[N, ...]`, by layer.
      spectral_norm: whether the objective divides each kernel by its largest singular value before each use, which
        bounds the slope of the scores (Miyato et al. 2018, arXiv:1802.05957).
      loops: see `Network`.
    """

    build: Callable[[tuple[int, ...]], nn.Module | Functions]
    spectral_norm: bool = False
    loops: bool = True


class MLPDiscriminator(nn.Module):
    """Dense layers on `[N, *input_shape]`, flattened; the context is appended to it."""

    hidden: tuple[int, ...]
    activation: Callable[[Array], Array]

    @nn.compact
    def __call__(self, x: Array, context: Array | None = None) -> tuple[Array, list[Array]]:
        x, features = _joined(x, context), []
        for width in self.hidden:
            x = self.activation(nn.Dense(width)(x))
            features.append(x)
        return nn.Dense(1, kernel_init=OUTPUT_INIT)(x)[:, 0], features


class ConvDiscriminator(nn.Module):
    """Convolutions of images `[N, H, W, C]`, then dense layers, or a last convolution to a score of each patch.

    A context scales and shifts the channels after each convolution, and is an input of the dense layers too.
    """

    stages: tuple[Stage, ...]
    hidden: tuple[int, ...]
    activation: Callable[[Array], Array]
    groups: int = 0
    last: Stage | None = None  # of patches

    @nn.compact
    def __call__(self, x: Array, context: Array | None = None) -> tuple[Array, list[Array]]:
        features = []
        for stage in self.stages:
            x = Conv(stage.window, stage.channels)(x)
            x = self.activation(Modulation()(nn.GroupNorm(self.groups)(x) if self.groups else x, context))
            features.append(x)
        if self.last is not None:
            return Conv(self.last.window, 1, scale=OUTPUT_SCALE)(x)[..., 0], features
        scores, more = MLPDiscriminator(self.hidden, self.activation)(x, context)
        return scores, [*features, *more]


def _joined(x: Array, context: Array | None) -> Array:
    x = x.reshape(len(x), math.prod(x.shape[1:]))
    return x if context is None else jnp.concatenate([x, context], axis=-1)


def mlp_discriminator(
    hidden: Sequence[int] = (400, 400), activation: str = "leaky_relu", spectral_norm: bool = False
) -> DiscriminatorNetwork:
    """Fully connected layers and one score; for images, tables and latents.

    Args:
      hidden: widths of the hidden layers, whose outputs are the features.
      activation: of the hidden layers.
      spectral_norm: see `DiscriminatorNetwork`.

    Raises:
      UserError: a width out of range, or an unknown activation.
    """
    check_widths(hidden=hidden)
    if activation not in ACTIVATIONS:
        raise unknown("activation", activation, ACTIVATIONS)
    module = MLPDiscriminator(tuple(hidden), ACTIVATIONS[activation])
    return DiscriminatorNetwork(lambda input_shape: module, spectral_norm)


def conv_discriminator(
    channels: Sequence[int] = (),
    kernel: int = 4,
    stride: int = 2,
    hidden: Sequence[int] = (),
    activation: str = "leaky_relu",
    norm: str = "none",
    groups: int = 8,
    spectral_norm: bool = False,
) -> DiscriminatorNetwork:
    """Strided convolutions and one score for an image (DCGAN, arXiv:1511.06434), without batch normalisation.

    Args:
      channels: of each convolution; () for 32, 64 ... 256, two or more, until a side has at most 4 pixels.
      kernel: side of each kernel, with zero padding ("SAME").
      stride: of each convolution.
      hidden: widths of dense layers between the convolutions and the score.
      activation: of the hidden layers.
      norm: "none", or "group" for group normalisation of the convolutions.
      groups: number of groups of channels for group normalisation.
      spectral_norm: see `DiscriminatorNetwork`.

    Raises:
      UserError: an option out of range; an input that is not an image, or is too small for kernel or stages.
    """
    check_widths(hidden=hidden, channels=channels)
    _check("conv", channels, activation, norm, groups, kernel, stride)

    def build(input_shape: tuple[int, ...]) -> nn.Module:
        stages = strided("conv", image_size("conv", input_shape), tuple(channels), kernel, stride)
        return ConvDiscriminator(stages, tuple(hidden), ACTIVATIONS[activation], groups if norm == "group" else 0)

    return DiscriminatorNetwork(build, spectral_norm, loops=False)


def patch_discriminator(
    channels: Sequence[int] = (64, 128),
    kernel: int = 4,
    stride: int = 2,
    activation: str = "leaky_relu",
    norm: str = "none",
    groups: int = 8,
    spectral_norm: bool = False,
) -> DiscriminatorNetwork:
    """Strided convolutions and a score for each patch of an image, `[N, h, w]` (PatchGAN, arXiv:1611.07004).

    The last convolution, of stride 1, maps the channels to one score. Two convolutions of stride 2 judge patches of
    22 pixels, three judge 46.

    Args:
      channels: of each convolution but the last.
      kernel: side of each kernel, with zero padding ("SAME").
      stride: of each convolution but the last.
      activation: of the hidden layers.
      norm: "none", or "group" for group normalisation of the convolutions.
      groups: number of groups of channels for group normalisation.
      spectral_norm: see `DiscriminatorNetwork`.

    Raises:
      UserError: an option out of range; an input that is not an image, or is too small for kernel or stages.
    """
    check_widths(channels=channels)
    _check("patch", channels, activation, norm, groups, kernel, stride)
    if not channels:
        raise UserError("The discriminator 'patch' got no channels: give it one width or more, (64, 128) for example.")

    def build(input_shape: tuple[int, ...]) -> nn.Module:
        stages = strided("patch", image_size("patch", input_shape), tuple(channels), kernel, stride)
        last = Stage(window(stages[-1].window.out, (kernel, kernel), 1, "SAME"), 1)
        return ConvDiscriminator(stages, (), ACTIVATIONS[activation], groups if norm == "group" else 0, last)

    return DiscriminatorNetwork(build, spectral_norm, loops=False)


def _check(
    name: str, channels: Sequence[int], activation: str, norm: str, groups: int, kernel: int, stride: int
) -> None:
    check_options(name, activation, norm, groups, channels or (32,), kernel=kernel, stride=stride)
    if not channels and stride == 1:
        raise UserError(f"The discriminator '{name}' got stride=1, which does not shrink images: give it channels too.")
