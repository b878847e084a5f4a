"""Define the contract of a likelihood, and helpers shared by its builders."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxvae.common.errors import unknown
from jaxvae.common.types import Array, Distribution, Key, Params
from jaxvae.losses import softplus

ACTIVATIONS = {"identity": lambda x: x, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}


def _identity(x: Array) -> Array:
    return x


class Likelihood(NamedTuple):
    """Distribution p(x|z) of the values of one example, given the decoder's outputs.

    Attributes:
      init: `key -> params`, the likelihood's own parameters (a learned variance, say); `{}` for none.
      build: `(params, outputs) -> Distribution`. The outputs are `[..., D]` for the D values of an example, or
        `[..., D, outputs_per_value]` if that is more than one, or `[..., output_size]`. The distribution has batch
        shape `[..., D]`, or event shape `[D]` where its log_prob is not a sum over values. With `takes_context` it is
        `(params, outputs, context)`, with the context `[..., C]` of a conditional model.
      outputs_per_value: decoder outputs for each value of the data.
      is_density: False for a reconstruction loss that is not a normalised density or mass, without a bound on log p(x).
      support: the closed interval of valid data, None for the whole line.
      is_discrete: whether it is a probability mass function, so that bits/dim are a code length.
      is_binary: whether its support is {0, 1}, so that grey values have a cross-entropy but no likelihood.
      is_product: whether it is a product over values, so that the observed ones have a likelihood without the others.
      steps_of: kinds of sequence, "text" or "music", that it can model step by step.
      encoder_input: map from x to the encoder's input, elementwise unless `input_size` is given.
      output_size: number of decoder outputs of an example, where it does not follow from `outputs_per_value`; else 0.
      input_size: length of the encoder's input, where it differs from x; 0 where it has x's shape.
      fill: value of x, or D values, that `encoder_input` maps to 0: the encoder gets them in place of missing ones.
      samples_draw: whether samples are draws from p(x|z) instead of its means, which are not counts or categories.
      of_columns: whether it is built for the columns of a table.
      takes_context: whether it depends on the context beside the decoder's outputs.
    """

    init: Callable[[Key], Params]
    build: Callable[[Params, Array], Distribution]
    outputs_per_value: int = 1
    is_density: bool = True
    support: tuple[float, float] | None = None
    is_discrete: bool = False
    is_binary: bool = False
    is_product: bool = True
    steps_of: tuple[str, ...] = ()
    encoder_input: Callable[[Array], Array] = _identity
    output_size: int = 0
    input_size: int = 0
    fill: float | tuple[float, ...] = 0.0
    samples_draw: bool = False
    of_columns: bool = False
    takes_context: bool = False

    def input_shape(self, data_shape: tuple[int, ...], mask_input: bool = False) -> tuple[int, ...]:
        """Return the shape of the encoder's input, with the mask after x on the last axis where `mask_input`."""
        *rest, last = (self.input_size,) if self.input_size else data_shape
        return *rest, last + mask_input * data_shape[-1]

    def output_shape(self, data_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the decoder's outputs."""
        if self.output_size:
            return (self.output_size,)
        return data_shape if self.outputs_per_value == 1 else (*data_shape, self.outputs_per_value)

    def flat_shape(self, data_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the outputs that `build` takes, with the axes of the data joined."""
        if self.output_size:
            return (self.output_size,)
        return math.prod(data_shape), *self.output_shape(data_shape)[len(data_shape) :]

    def num_outputs(self, data_shape: tuple[int, ...]) -> int:
        """Return the number of decoder outputs of an example."""
        return math.prod(self.output_shape(data_shape))

    @property
    def is_of_counts(self) -> bool:
        """Return whether data must be whole numbers from 0 on."""
        return self.support == (0.0, math.inf)

    @property
    def is_of_levels(self) -> bool:
        """Return whether data must lie on equally spaced levels between two ends, as 8-bit pixels do."""
        return self.is_discrete and not self.is_binary and not self.is_of_counts


def find_activation(name: str) -> Callable[[Array], Array]:
    """Look up the map from a decoder's outputs to means."""
    if name not in ACTIVATIONS:
        raise unknown("output activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]


def softly_above(low: float, x: Array) -> Array:
    """Clamp x softly from below: close to x well above `low`, never below it, with a derivative above 0."""
    return low + softplus(x - low)


def softly_between(low: float, high: float, x: Array) -> Array:
    """Clamp x softly to (low, high): close to x well inside the interval, never outside it."""
    return softly_above(low, high - softplus(high - x))
