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
        `[..., D, outputs_per_value]` if that is more than one. The distribution has batch shape `[..., D]`, or event
        shape `[D]` where its log_prob is not a sum over values.
      outputs_per_value: decoder outputs for each value of the data.
      is_density: False for a reconstruction loss that is not a normalised density or mass, without a bound on log p(x).
      support: the closed interval of valid data, None for the whole line.
      is_discrete: whether it is a probability mass function, so that bits/dim are a code length.
      is_binary: whether its support is {0, 1}, so that grey values have a cross-entropy but no likelihood.
      is_product: whether it is a product over values, so that the observed ones have a likelihood without the others.
      steps_of: kinds of sequence, "text" or "music", that it can model step by step.
      encoder_input: elementwise map from x to the encoder's input.
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
