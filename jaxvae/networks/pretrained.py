"""Convolutional networks of named architectures, as features of images; their weights come from files."""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.types import Array, Key, Tree
from jaxvae.networks.base import Functions
from jaxvae.networks.convolution import convolve

HEADS = "heads"  # the collection of the weights of LPIPS


class Stage(NamedTuple):
    """Convolutions with ReLU, the last of which is a layer of features, after a max-pooling where there is one.

    Attributes:
      places: numbers of the convolutions in the file, as in `features.0.weight`.
      channels: of each of them.
      kernel, stride, padding: of each of them.
      pool: side and stride of the max-pooling; () for none.
    """

    places: tuple[int, ...]
    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    pool: tuple[int, ...] = ()


ARCHITECTURES = {
    "vgg16": (
        Stage((0, 2), 64),
        Stage((5, 7), 128, pool=(2, 2)),
        Stage((10, 12, 14), 256, pool=(2, 2)),
        Stage((17, 19, 21), 512, pool=(2, 2)),
        Stage((24, 26, 28), 512, pool=(2, 2)),
    ),  # arXiv:1409.1556, configuration D
    "alexnet": (
        Stage((0,), 64, kernel=11, stride=4, padding=2),
        Stage((3,), 192, kernel=5, padding=2, pool=(3, 2)),
        Stage((6,), 384, pool=(3, 2)),
        Stage((8,), 256),
        Stage((10,), 256),
    ),  # arXiv:1404.5997
}
# Of the RGB pixels of ImageNet in [-1, 1], by which both networks were trained.
MEAN = np.array([-0.030, -0.088, -0.188], np.float32)
DEVIATION = np.array([0.458, 0.448, 0.450], np.float32)


def find(name: str) -> tuple[Stage, ...]:
    """Look up the stages of an architecture; raise UserError for an unknown one."""
    if name not in ARCHITECTURES:
        raise unknown("architecture", name, ARCHITECTURES)
    return ARCHITECTURES[name]


def pretrained(name: str, with_heads: bool = False) -> Functions:
    """Return the convolutions of an architecture of ImageNet; its layers of features are those of LPIPS.

    Args:
      name: one of ARCHITECTURES.
      with_heads: whether the variables hold the weights of LPIPS too, `{"heads": {"0": [C], ...}}` (Zhang et al. 2018,
        arXiv:1801.03924).

    Returns:
      A network from images `[N, H, W, C]` in [-1, 1], C = 1 or 3, to its last layer of features.

    Raises:
      UserError: an unknown architecture; by the network: images that are too small, or have other channels.
    """
    stages = find(name)

    def init(key: Key, x: Array) -> dict[str, Tree]:
        check_images(name, x.shape[1:])
        params, fan, keys = {}, 3, iter(jax.random.split(key, sum(len(stage.places) for stage in stages)))
        for stage in stages:
            for place in stage.places:
                kernel = (stage.kernel, stage.kernel, fan, stage.channels)
                params[str(place)] = {"kernel": nn.initializers.he_normal()(next(keys), kernel),
                                      "bias": jnp.zeros(stage.channels)}  # fmt: skip
                fan = stage.channels
        heads = {str(i): jnp.ones(stage.channels) for i, stage in enumerate(stages)}
        return {"params": params} | ({HEADS: heads} if with_heads else {})

    def features(variables: dict[str, Tree], x: Array) -> list[Array]:
        check_images(name, x.shape[1:])
        x, found = (x - MEAN) / DEVIATION, []
        for stage in stages:
            if stage.pool:
                side, stride = stage.pool
                x = nn.max_pool(x, (side, side), (stride, stride))
            for place in stage.places:
                layer, pad = variables["params"][str(place)], (stage.padding, stage.padding)
                x = jax.nn.relu(convolve(x, layer["kernel"], stage.stride, (pad, pad)) + layer["bias"])
            found.append(x)
        return found

    def apply(variables: dict[str, Tree], x: Array, key: Key | None = None) -> tuple[Array, dict[str, Tree]]:
        del key
        return features(variables, x)[-1], {}

    return Functions(init, apply, features=features)


def check_images(name: str, shape: tuple[int, ...]) -> None:
    """Raise UserError where a network cannot read images of this shape."""
    least = least_side(name)
    if len(shape) != 3 or shape[-1] not in (1, 3) or min(shape[:2]) < least:
        raise UserError(
            f"The feature network '{name}' reads grey or RGB images [height, width, 1 or 3] of at least {least} pixels "
            f"a side, but an example has the shape {list(shape)}. Take the features of a run, objective.features.run, "
            "or larger images (data.image_size)."
        )


def least_side(name: str) -> int:
    """Return the side in pixels of the smallest image that a network can read."""

    def is_enough(side: int) -> bool:
        for stage in find(name):
            if stage.pool:
                side = (side - stage.pool[0]) // stage.pool[1] + 1
            side = (side + 2 * stage.padding - stage.kernel) // stage.stride + 1 if side > 0 else 0
        return side > 0

    return next(side for side in itertools.count(1) if is_enough(side))


def from_tensors(name: str, tensors: Mapping[str, np.ndarray], where: str) -> dict[str, Tree]:
    """Convert arrays with the names of the community's files to the variables of `pretrained`.

    Args:
      name: one of ARCHITECTURES.
      tensors: convolutions `[out, in, height, width]` as `features.0.weight`, `features.0.bias` (torchvision) or
        `net.slice1.0.weight` (the whole of LPIPS); heads `[1, C, 1, 1]` as `lin0.model.1.weight`; others are not used.
      where: the files, for the message.

    Raises:
      UserError: an array is missing or has another shape; the first one is named.
    """

    def find_one(names: list[str], shape: tuple[int, ...]) -> np.ndarray:
        there = next((each for each in names if each in tensors), None)
        if there is None or tensors[there].shape != shape:
            what = "is missing" if there is None else f"has the shape {list(tensors[there].shape)}"
            raise UserError(
                f"The weights in {where} are not of the architecture '{name}': {there or names[0]} {what}, but it must "
                f"have the shape {list(shape)}. Names there begin with {', '.join(sorted(tensors)[:4])}."
            )
        return tensors[there]

    params: dict[str, Any] = {}
    fan = 3
    for i, stage in enumerate(find(name)):
        for place in stage.places:
            names = [f"features.{place}", f"net.slice{i + 1}.{place}"]
            kernel = find_one([f"{each}.weight" for each in names], (stage.channels, fan, *(stage.kernel,) * 2))
            bias = find_one([f"{each}.bias" for each in names], (stage.channels,))
            params[str(place)] = {"kernel": np.transpose(kernel, (2, 3, 1, 0)), "bias": bias}
            fan = stage.channels
    if not has_heads(tensors):
        return {"params": params}
    heads = {str(i): find_one([f"lin{i}.model.1.weight"], (1, stage.channels, 1, 1)).reshape(-1)
             for i, stage in enumerate(find(name))}  # fmt: skip
    if negative := [i for i, head in heads.items() if head.min() < 0]:
        raise UserError(f"The weights in {where} are not those of LPIPS: lin{negative[0]}.model.1.weight is negative.")
    return {"params": params, HEADS: heads}


def has_heads(tensors: Mapping[str, np.ndarray]) -> bool:
    """Return whether arrays by name hold weights of LPIPS."""
    return any(each.startswith("lin") and each.endswith(".model.1.weight") for each in tensors)
