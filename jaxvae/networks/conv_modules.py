"""Convolutions with a bias, and convolutional encoders and decoders."""

import math
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from jaxvae.common.types import Array
from jaxvae.networks.convolution import convolve, convolve_transposed
from jaxvae.networks.convolution_window import Pair, Window
from jaxvae.networks.mlp import MLP
from jaxvae.networks.spatial import as_map, as_outputs, check_outputs, map_window

# Variances of initial weights before truncation takes a quarter: in units of 2 / fan_in, and in units of 1 / fan_in for
# the last layer, whose outputs start near grey.
HIDDEN_SCALE, OUTPUT_SCALE = 1.0, 1 / 10
MODULATION_SCALE = 0.02  # deviation of initial weights, so that a context changes little at first


class Conv(nn.Module):
    """Convolution of images `[N, H, W, C]` with a bias; where `transposed`, from the window's output to its input."""

    window: Window
    channels: int
    transposed: bool = False
    scale: float = 2 * HIDDEN_SCALE

    @nn.compact
    def __call__(self, x: Array) -> Array:
        sizes = self.window
        area = math.prod(sizes.kernel)
        # Inputs that one output sums over; area / stride windows cover an output of a transposed convolution.
        fan_in = x.shape[-1] * (area / math.prod(sizes.stride) if self.transposed else area)
        shape = (self.channels, x.shape[-1]) if self.transposed else (x.shape[-1], self.channels)
        init = nn.initializers.truncated_normal(math.sqrt(self.scale / max(fan_in, 1)))
        kernel = self.param("kernel", init, (*sizes.kernel, *shape)).astype(x.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,)).astype(x.dtype)
        if self.transposed:
            return convolve_transposed(x, kernel, sizes.stride, sizes.padding, sizes.size) + bias
        return convolve(x, kernel, sizes.stride, sizes.padding) + bias


class Modulation(nn.Module):
    """Scale and shift the channels of images `[N, H, W, C]` by a context `[N, K]` (FiLM, arXiv:1709.07871)."""

    @nn.compact
    def __call__(self, x: Array, context: Array | None) -> Array:
        if context is None:
            return x
        init = nn.initializers.normal(MODULATION_SCALE)
        scale, shift = jnp.split(nn.Dense(2 * x.shape[-1], kernel_init=init)(context)[:, None, None], 2, axis=-1)
        return x * (1 + scale) + shift


class Stage(NamedTuple):
    """A convolution to `channels`, and side and stride of the max-pooling after it (1, 1: none)."""

    window: Window
    channels: int
    pool: Pair = (1, 1)

    @property
    def out(self) -> tuple[int, int, int]:
        """Output shape."""
        side, stride = self.pool
        rows, columns = ((n - min(side, n)) // stride + 1 for n in self.window.out)
        return rows, columns, self.channels


def flat(context: Array | None, batch: tuple[int, ...]) -> Array | None:
    """Broadcast a context `[..., K]` to the batch axes of x, as one: `[N, K]`."""
    if context is None:
        return None
    return jnp.broadcast_to(context, (*batch, context.shape[-1])).reshape(math.prod(batch), context.shape[-1])


class Encoder(nn.Module):
    """Map images `[..., H, W, C]` to `[..., num_outputs]`: convolutions, then dense layers.

    A context scales and shifts the channels after each convolution, and is an input of the dense layers too. With
    `keep_size`, no dense layer follows where the last feature map is as large as the outputs.
    """

    data_shape: tuple[int, ...]
    stages: tuple[Stage, ...]
    hidden: tuple[int, ...]
    num_outputs: int
    activation: Callable[[Array], Array]
    groups: int = 0
    keep_size: bool = False
    latent_channels: int = 0

    @nn.compact
    def __call__(self, x: Array, context: Array | None = None) -> Array:
        batch = x.shape[: x.ndim - len(self.data_shape)]
        x, beside = x.reshape(math.prod(batch), *self.data_shape), flat(context, batch)
        for stage in self.stages:
            x = Conv(stage.window, stage.channels)(x)
            x = self.activation(Modulation()(nn.GroupNorm(self.groups)(x) if self.groups else x, beside))
            self.sow("intermediates", "features", x)
            if stage.pool != (1, 1):
                side, stride = stage.pool
                x = nn.max_pool(x, (min(side, x.shape[1]), min(side, x.shape[2])), (stride, stride))
        if self.latent_channels:
            size = x.shape[1], x.shape[2]
            kinds = check_outputs("conv", size, self.latent_channels, self.num_outputs)
            x = Conv(map_window(size), kinds * self.latent_channels, scale=OUTPUT_SCALE)(x)
            return as_outputs(x, self.latent_channels).reshape(*batch, self.num_outputs)
        x = x.reshape(*batch, math.prod(x.shape[1:]))
        if self.keep_size and context is None and not self.hidden and x.shape[-1] == self.num_outputs:
            return x
        return MLP(x.shape[-1:], self.hidden, (self.num_outputs,), self.activation)(x, context)


class Decoder(nn.Module):
    """Map latents `[..., *latent_shape]` to `[..., *output_shape]`: dense layers, transposed convolutions, a crop."""

    latent_shape: tuple[int, ...]
    stages: tuple[Stage, ...]  # each from its window's output to its input, the first with `start` channels
    start: int
    hidden: tuple[int, ...]
    output_shape: tuple[int, ...]
    activation: Callable[[Array], Array]
    groups: int = 0
    keep_size: bool = False
    latent_channels: int = 0

    @property
    def last_layer(self) -> str:
        """Return the name of the parameters of the last layer."""
        return f"Conv_{len(self.stages) - (0 if self.latent_channels else 1)}"

    @nn.compact
    def __call__(self, z: Array, context: Array | None = None) -> Array:
        batch = z.shape[: z.ndim - len(self.latent_shape)]
        start = (*self.stages[0].window.out, self.start)
        if self.latent_channels:
            z = as_map("conv", z.reshape(math.prod(batch), *self.latent_shape), start[:2], self.latent_channels)
            z = self.activation(Conv(map_window(start[:2]), self.start)(z))
        elif not (
            self.keep_size and context is None and not self.hidden and math.prod(self.latent_shape) == math.prod(start)
        ):
            z = self.activation(MLP(self.latent_shape, self.hidden, start, self.activation)(z, context))
        x, beside = z.reshape(math.prod(batch), *start), flat(context, batch)
        for i, (win, channels, _) in enumerate(self.stages):
            if i == len(self.stages) - 1:
                x = Conv(win, channels, transposed=True, scale=OUTPUT_SCALE)(x)
            else:
                x = Conv(win, channels, transposed=True)(x)
                x = self.activation(Modulation()(nn.GroupNorm(self.groups)(x) if self.groups else x, beside))
        rows, columns = self.output_shape[:2]
        top, left = (x.shape[1] - rows) // 2, (x.shape[2] - columns) // 2
        return x[:, top : top + rows, left : left + columns].reshape(*batch, *self.output_shape)
