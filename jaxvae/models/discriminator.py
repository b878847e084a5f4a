"""A discriminator D(x): a network whose scores are high for data and low for generated examples."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params
from jaxvae.models.base import Model
from jaxvae.models.coder import network_input
from jaxvae.networks import DiscriminatorNetwork, functions

NAME = "discriminator"


class Discriminator(NamedTuple):
    """A discriminator as pure functions.

    Attributes:
      init: `key -> params`.
      apply: `(params, x, context=None) -> (scores, features)` for x `[B, *input_shape]` and, where it takes one, a
        context `[B, C]`: scores `[B]`, or `[B, ...]` of patches, and features `[B, ...]` of its hidden layers.
      spectral_norm, loops: see `DiscriminatorNetwork`.
    """

    init: Callable[[Key], Params]
    apply: Callable[..., tuple[Array, list[Array]]]
    spectral_norm: bool = False
    loops: bool = True

    def scores(self, params: Params, x: Array, context: Array | None = None) -> Array:
        """Return the scores of x, `[B]`, or `[B, ...]` of patches."""
        return self.apply(params, x, context)[0]

    def features(self, params: Params, x: Array, context: Array | None = None) -> list[Array]:
        """Return the features of x, one `[B, ...]` for each hidden layer."""
        return self.apply(params, x, context)[1]


MakeDiscriminator = Callable[..., Discriminator]  # (input_shape, context_dim=0) -> Discriminator


def make_discriminator(
    network: DiscriminatorNetwork, input_shape: tuple[int, ...], context_dim: int = 0
) -> Discriminator:
    """Build a discriminator of inputs of a shape.

    Args:
      network: builds the network.
      input_shape: the shape of one input.
      context_dim: C where a context `[B, C]` is a further input, else 0.

    Raises:
      UserError: the network does not fit the input, has state of its own, such as running statistics, or has other
        outputs than scores and features.
    """
    made = functions(network.build(tuple(input_shape)))
    shapes = (tuple(input_shape), *((context_dim,),) * bool(context_dim))

    def variables(key: Key) -> Any:
        return made.init(key, *(jnp.zeros((1, *shape)) for shape in shapes))

    def apply(params: Params, x: Array, context: Array | None = None) -> tuple[Array, list[Array]]:
        chex.assert_shape(x, (None, *input_shape))
        beside = (context,) if context_dim else ()
        scores, features = made.apply({"params": params}, x, *beside)[0]
        return scores, list(features)

    drawn = jax.eval_shape(variables, jax.random.key(0))
    if drawn.keys() - {"params"}:
        raise UserError(
            "The network of the discriminator has state of its own, such as running statistics, which the objective "
            "does not update. Take layer or group normalisation instead of batch normalisation."
        )
    examples = [jax.ShapeDtypeStruct((2, *shape), jnp.float32) for shape in shapes]
    _check(jax.eval_shape(lambda drawn, *inputs: made.apply(drawn, *inputs)[0], drawn, *examples))
    return Discriminator(lambda key: variables(key)["params"], apply, network.spectral_norm, network.loops)


def _check(outputs: Any) -> None:
    """Raise UserError unless the outputs for 2 examples are scores `[2, ...]` and a list of features `[2, ...]`."""
    is_pair = isinstance(outputs, tuple) and len(outputs) == 2 and isinstance(outputs[1], (list, tuple))
    found = [outputs[0], *outputs[1]] if is_pair else []
    if not found or any(getattr(each, "shape", (0,))[:1] != (2,) for each in found):
        raise UserError(
            "The network of the discriminator must return (scores, features): scores [N], or [N, ...] of patches, and "
            f"a list of the features [N, ...] of its hidden layers. For 2 examples it returned "
            f"{jax.tree.map(lambda each: list(each.shape), outputs)}."
        )


def of_data(model: Model, make: MakeDiscriminator) -> Discriminator:
    """Build a discriminator of x that reads x, and a context, as the model's encoder does; see `judged`.

    Raises:
      UserError: the point estimates of p(x|z) have no gradients or are unlike data: sequences, counts, columns.
    """
    if model.data.is_sequential or model.likelihood.samples_draw:
        what = "sequences" if model.data.is_sequential else "counts or categories"
        raise UserError(
            f"A discriminator of data compares x with the mean of p(x|z), and means of {what} are unlike data: take "
            "images or real values, or an objective whose discriminator is of the latents, 'adversarial_autoencoder' "
            "for example."
        )
    return make(model.likelihood.input_shape(model.data_shape, model.mask_input), model.context_dim)


def judged(model: Model, x: Array, mask: Array | None = None) -> Array:
    """Return the discriminator's input for x `[B, *data_shape]`: missing values are filled, in generated x too."""
    return network_input(model.likelihood, x, mask, model.mask_input)


def of_latents(model: Model, make: MakeDiscriminator, context_dim: int = 0) -> Discriminator:
    """Build a discriminator of latents `[B, D]`, flattened, with a context `[B, context_dim]`."""
    return make((math.prod(model.latent_shape),), context_dim)
