"""The contract of networks."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params


def check_widths(**widths: Any) -> None:
    """Raise UserError unless each is a tuple of whole numbers of 1 or more, the widths of hidden layers."""
    for name, value in widths.items():
        if not isinstance(value, (tuple, list)) or any(type(width) is not int or width < 1 for width in value):
            raise UserError(f"The network got {name}={value}; every width must be a whole number of 1 or more.")


class Network(NamedTuple):
    """Builders of an encoder and a decoder.

    Attributes:
      encoder: `(data_shape, num_outputs) -> Module`, a map from `[..., *data_shape]` to `[..., num_outputs]`.
      decoder: `(latent_shape, output_shape) -> Module`, a map from `[..., *latent_shape]` to `[..., *output_shape]`.
    Both modules take an optional `context` `[..., C]`, which conditions them.
      is_sequential: whether the decoder is autoregressive over the steps of a sequence, as `SequenceDecoder`. It then
        maps z `[N, *latent_shape]` and x `[N, *data_shape]` to `[N, *output_shape]`, each step from the steps before
        it, and has the methods `start(z, context) -> state` and `step(state, before) -> (state, outputs)`.
      loops: False where XLA on CPU trains the modules slowly inside `lax.scan`: the gradient of a convolution by its
        kernel takes 10 to 40 times as long there. Encoding, decoding and gradients by z are not affected.
    """

    encoder: Callable[[tuple[int, ...], int], nn.Module]
    decoder: Callable[[tuple[int, ...], tuple[int, ...]], nn.Module]
    is_sequential: bool = False
    loops: bool = True


@dataclasses.dataclass(frozen=True)
class Pure:
    """A Flax module as a function of its parameters; equal to another of the same module, so static in a pytree."""

    module: nn.Module

    def init(self, key: Key, *inputs: Array | None) -> Params:
        return self.module.init(key, *inputs)["params"]

    def __call__(self, params: Params, *inputs: Array | None):
        return self.module.apply({"params": params}, *inputs)
