"""Define the contract of networks."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params, Tree

MODES = ("train", "training", "deterministic", "use_running_average")  # other libraries' names for is_training


def check_widths(**widths: Any) -> None:
    """Raise UserError unless each is a tuple of whole numbers of 1 or more, the widths of hidden layers."""
    for name, value in widths.items():
        if not isinstance(value, (tuple, list)) or any(type(width) is not int or width < 1 for width in value):
            raise UserError(f"The network got {name}={value}; every width must be a whole number of 1 or more.")


class Functions(NamedTuple):
    """Network of any library as pure functions of its variables; see `functions`.

    Variables are `{"params": tree, **collections}`, nested dictionaries of arrays. Gradients own "params"; every other
    collection is state of the network, such as running statistics.

    Attributes:
      init: `(key, *inputs) -> variables`.
      apply: `(variables, *inputs, key=None) -> (outputs, collections)`. With a key the network runs in training mode:
        the key is for dropout, and `collections` are the next ones. Without a key it runs in evaluation mode, and
        `collections` are not used.
      start: of a sequential decoder, `(variables, z, context=None) -> state`.
      step: of a sequential decoder, `(variables, state, before) -> (state, outputs)`.
      may_have_state: False if "params" are known to be the only variables.
      features: `(variables, *inputs) -> [[N, ...], ...]`, the hidden layers after their activation, in order; None
        where they are not known.
      last_layer: the name of the last layer in "params", of the parameters that make the outputs; "" if not known.
    """

    init: Callable[..., Any]
    apply: Callable[..., tuple[Any, dict[str, Tree]]]
    start: Callable[..., Any] | None = None
    step: Callable[..., tuple[Any, Any]] | None = None
    may_have_state: bool = True
    features: Callable[..., list[Array]] | None = None
    last_layer: str = ""


def functions(network: nn.Module | Functions) -> Functions:
    """Convert a Flax Linen module to pure functions; return `Functions` unchanged.

    A module may have state, its collections other than "params" (`batch_stats`), if its `__call__` has an argument
    `is_training`. Dropout draws from the key "dropout". Hidden layers are those that it sows as "features" in Flax's
    collection "intermediates": its own, then those of its submodules, by name. Its attribute `last_layer` is that of
    `Functions`.

    Raises:
      UserError: the module is told by an argument of another name whether it trains.
    """
    if isinstance(network, Functions):
        return network
    takes = inspect.signature(type(network).__call__).parameters
    takes_training = "is_training" in takes
    if other := [name for name in MODES if name in takes and not takes_training]:
        raise UserError(
            f"The network {type(network).__name__} has an argument '{other[0]}', which jaxvae would leave at its "
            "default. Let it take is_training: bool = False instead, true in training: nn.Dropout(0.1, "
            "deterministic=not is_training), nn.BatchNorm(use_running_average=not is_training)."
        )

    def apply(variables: dict[str, Tree], *inputs: Any, key: Key | None = None) -> tuple[Any, dict[str, Tree]]:
        options: dict[str, Any] = {"is_training": key is not None} if takes_training else {}
        options |= {} if key is None else {"rngs": {"dropout": key}}
        state = [name for name in variables if name != "params"]
        if key is None or not state:
            return network.apply(variables, *inputs, **options), {}
        outputs, changed = network.apply(variables, *inputs, **options, mutable=state)
        return outputs, dict(changed)

    def method(name: str) -> Callable | None:
        if not hasattr(network, name):
            return None
        return lambda variables, *inputs: network.apply(variables, *inputs, method=name)

    def features(variables: dict[str, Tree], *inputs: Any) -> list[Array]:
        _, found = network.apply(variables, *inputs, mutable=[INTERMEDIATES])
        return _sown(dict(found).get(INTERMEDIATES, {}))

    steps = method("start"), method("step")
    return Functions(network.init, apply, *steps, takes_training, features, getattr(network, "last_layer", ""))


INTERMEDIATES = "intermediates"  # of Flax


def _sown(tree: Mapping[str, Any]) -> list[Array]:
    inner = [layer for name in sorted(tree) if isinstance(tree[name], Mapping) for layer in _sown(tree[name])]
    return [*tree.get("features", ()), *inner]


def by_path(tree: Tree) -> dict[str, Array]:
    """Return the leaves of any pytree by their paths, a dictionary as required for a network's variables."""
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def from_paths(like: Tree, leaves: dict[str, Array]) -> Tree:
    """Invert `by_path`: return a pytree with the structure of `like` and these leaves."""
    return jax.tree_util.tree_map_with_path(lambda path, _: leaves[_name(path)], like)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


class Network(NamedTuple):
    """Builders of an encoder and a decoder: Flax Linen modules, or `Functions` of any other library.

    Attributes:
      encoder: `(data_shape, num_outputs) -> network`, a map from `[N, *data_shape]` to `[N, num_outputs]`.
      decoder: `(latent_shape, output_shape) -> network`, a map from `[N, *latent_shape]` to `[N, *output_shape]`.
    In a conditional model both have a further input, the context `[N, C]`.
      is_sequential: whether the decoder is autoregressive over the steps of a sequence, as `SequenceDecoder`. It then
        maps z `[N, *latent_shape]` and x `[N, *data_shape]` to `[N, *output_shape]`, each step from the steps before
        it, and has the methods `start(z, context) -> state` and `step(state, before) -> (state, outputs)`.
      loops: False where XLA on CPU trains the networks slowly inside `lax.scan`: the gradient of a convolution by its
        kernel takes 10 to 40 times as long there. Encoding, decoding and gradients by z are not affected.
    """

    encoder: Callable[[tuple[int, ...], int], nn.Module | Functions]
    decoder: Callable[[tuple[int, ...], tuple[int, ...]], nn.Module | Functions]
    is_sequential: bool = False
    loops: bool = True


@dataclasses.dataclass(frozen=True)
class Pure:
    """A Flax module as a function of its parameters; equal to another of the same module, so static in a pytree.

    It is part of a density, whose two directions must agree: its products are those of float32, where JAX's default on
    GPU is TF32 with a relative error of 1e-3.
    """

    module: nn.Module

    def init(self, key: Key, *inputs: Array | None) -> Params:
        return self.module.init(key, *inputs)["params"]

    def __call__(self, params: Params, *inputs: Array | None):
        with jax.default_matmul_precision("highest"):
            return self.module.apply({"params": params}, *inputs)
