"""p(x | z): what a decoder's outputs say about the data.

A likelihood is a bundle of pure functions, not a class per model; `make_model` sums over the data's axes.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxvae.distributions import Bernoulli, SquaredError
from jaxvae.errors import UserError, unknown
from jaxvae.types import Array, Distribution, Key, Params

ACTIVATIONS = {"identity": lambda x: x, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}


class Likelihood(NamedTuple):
    """`init(key) -> params`; `build(params, outputs) -> Distribution`, one value for each value of the data.

    Attributes:
      init: parameters of the likelihood's own (a learned variance, say); `{}` where there are none.
      build: outputs `[..., D]` for the D values of an example, or `[..., D, outputs_per_value]` where that is more than
        one, to a distribution of batch shape `[..., D]`.
      outputs_per_value: decoder outputs for each value of the data.
      is_density: False for a reconstruction loss that is no normalised density: no bound on log p(x) then.
      support: the closed interval in which data must lie, None for the whole line.
    """

    init: Callable[[Key], Params]
    build: Callable[[Params, Array], Distribution]
    outputs_per_value: int = 1
    is_density: bool = True
    support: tuple[float, float] | None = None


def no_params(key: Key) -> Params:
    """The `init` of a part that learns nothing of its own."""
    del key
    return {}


def bernoulli() -> Likelihood:
    """Independent Bernoulli pixels on logits; data in [0, 1]. On grey pixels its log_prob is the cross-entropy."""
    return Likelihood(no_params, lambda _, logits: Bernoulli(logits), support=(0.0, 1.0))


def gaussian(activation: str = "identity", variance: float = 1.0) -> Likelihood:
    """N(activation(outputs), variance I) with a fixed variance, constant included."""
    if not variance > 0:
        raise UserError(f"The Gaussian likelihood got variance={variance}; it must be above 0.")
    mean = _activation(activation)
    scale = variance**0.5
    return Likelihood(no_params, lambda _, outputs: dist.Normal(mean(outputs), scale))


def squared_error(activation: str = "identity") -> Likelihood:
    """The summed squared error of the classic tutorials: what is minimised, but no density."""
    mean = _activation(activation)
    return Likelihood(no_params, lambda _, outputs: SquaredError(mean(outputs)), is_density=False)


def _activation(name: str) -> Callable[[Array], Array]:
    if name not in ACTIVATIONS:
        raise unknown("output activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]
