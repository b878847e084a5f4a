"""Layers of a fixed network as features of x, for perceptual losses."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.tensors import read_tensors
from jaxvae.common.types import Array, Key, Params, Tree
from jaxvae.networks import Functions
from jaxvae.networks.pretrained import HEADS, check_images, from_tensors, has_heads, pretrained

NAME = "features"  # the part of an objective's state that holds the parameters


class Features(NamedTuple):
    """Layers of a network that nothing trains.

    Attributes:
      init: `key -> params`, the variables of the network, with the layout of those that are used.
      layers: `(params, x) -> [[B, ...], ...]` for x `[B, *data_shape]`; of images `[B, h, w, C]`.
      heads: `params -> [[C] or a number, ...]`, weights of the channels of each layer, as LPIPS has them; else 1.
      weights: one of each layer.
      loops: see `Network`.
    """

    init: Callable[[Key], Params]
    layers: Callable[[Params, Array], list[Array]]
    heads: Callable[[Params], list[Any]]
    weights: tuple[float, ...]
    loops: bool = True


def make_features(
    network: Functions,
    data_shape: tuple[int, ...],
    read: Callable[[Array], Array] = lambda x: x,
    layers: Sequence[int] = (),
    layer_weights: Sequence[float] = (),
    loops: bool = True,
) -> Features:
    """Build features from the hidden layers of a network.

    Args:
      network: with known hidden layers, `Functions.features`.
      data_shape: the shape of one example.
      read: from x `[B, *data_shape]` to the network's input.
      layers: numbers of the layers, from 0; () for all of them.
      layer_weights: one for each of these layers; 1 each if empty.
      loops: see `Network`.

    Raises:
      UserError: the network's hidden layers are not known, a number is not that of a layer, or the weights are below 0
        or others than the layers.
    """
    if network.features is None:
        raise UserError(
            "The feature network has no known hidden layers: give its Flax module `self.sow('intermediates', "
            "'features', x)` after each of them, or `networks.Functions` the field `features`."
        )
    found = network.features

    def init(key: Key) -> Params:
        return network.init(key, read(jnp.zeros((1, *data_shape))))

    def all_layers(params: Params, x: Array) -> list[Array]:
        return found(params, read(x))

    num = len(jax.eval_shape(lambda key: all_layers(init(key), jnp.zeros((1, *data_shape))), jax.random.key(0)))
    if not num or any(type(i) is not int or not 0 <= i < num for i in layers):
        has = f"has layers 0 to {num - 1}" if num else "has no hidden layer"
        raise UserError(f"objective.features.layers is {list(layers)}, but the feature network {has}.")
    chosen = list(layers) or list(range(num))
    if len(layer_weights) not in (0, len(chosen)) or not all(0 <= weight < math.inf for weight in layer_weights):
        raise UserError(
            f"objective.features.layer_weights is {list(layer_weights)}; it must be {len(chosen)} numbers of 0 or "
            "more, one for each layer of the feature network, or ()."
        )

    def of_chosen(params: Params, x: Array) -> list[Array]:
        found = all_layers(params, x)
        return [found[i] for i in chosen]

    def heads(params: Params) -> list[Any]:
        return [params[HEADS][str(i)] if HEADS in params else 1.0 for i in chosen]

    return Features(init, of_chosen, heads, tuple(map(float, layer_weights)) or (1.0,) * len(chosen), loops)


def pretrained_features(
    architecture: str,
    data_shape: tuple[int, ...],
    pixel_range: tuple[float, float] = (0.0, 1.0),
    layers: Sequence[int] = (),
    layer_weights: Sequence[float] = (),
    with_heads: bool = False,
) -> Features:
    """Build features of images by a network of ImageNet, see `networks.pretrained`.

    Args:
      architecture: "vgg16" or "alexnet".
      data_shape: `[H, W, 1 or 3]`; grey images are repeated in three channels.
      pixel_range: the least and the greatest value of x.
      layers: as in `make_features`: the last convolution of each of five stages.
      layer_weights: as in `make_features`.
      with_heads: whether the parameters hold the weights of LPIPS.

    Raises:
      UserError: as `make_features` and `networks.pretrained`.
    """
    low, high = pixel_range

    def read(x: Array) -> Array:
        return jnp.broadcast_to(2 * (x - low) / (high - low) - 1, (*x.shape[:-1], 3))

    check_images(architecture, data_shape)
    return make_features(pretrained(architecture, with_heads), data_shape, read, layers, layer_weights, loops=False)


def load_pretrained(architecture: str, paths: str) -> Tree:
    """Load the parameters of `pretrained_features` from `.npz` or `.safetensors` files.

    Args:
      architecture: "vgg16" or "alexnet".
      paths: one file, or several with commas: the network in one, the heads of LPIPS in another.

    Raises:
      UserError: a file cannot be read, or an array is missing or has another shape.
    """
    names = [path.strip() for path in paths.split(",") if path.strip()]
    tensors = {name: array for path in names for name, array in read_tensors(path).items()}
    return from_tensors(architecture, tensors, " and ".join(f"'{path}'" for path in names))


def holds_heads(paths: str) -> bool:
    """Return whether files hold weights of LPIPS; raise UserError where one cannot be read."""
    return any(has_heads(read_tensors(path.strip())) for path in paths.split(",") if path.strip())
