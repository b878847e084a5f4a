"""An encoder and a decoder of Flax NNX modules, with batch normalisation and dropout: `nnx.split` makes them pure.

jaxvae --config=vae --config.network=own_network_nnx:normed --config.network.dropout=0.2    # from this folder
"""

import math
from collections.abc import Callable

import jax
from flax import nnx

from jaxvae.networks import Functions, Network, by_path, from_paths

KINDS = nnx.Param, nnx.BatchStat  # what gradients own, and state


class Dense(nnx.Module):
    """One hidden layer, from inputs `[N, ...]` to outputs `[N, *out_shape]`."""

    def __init__(self, rngs: nnx.Rngs, in_shape: tuple[int, ...], hidden: int, dropout: float, out_shape: tuple):
        self.first = nnx.Linear(math.prod(in_shape), hidden, rngs=rngs)
        self.norm = nnx.BatchNorm(hidden, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(dropout)
        self.last = nnx.Linear(hidden, math.prod(out_shape), rngs=rngs)
        self.out_shape = out_shape

    def __call__(self, x: jax.Array, rngs: nnx.Rngs | None = None) -> jax.Array:
        x = nnx.relu(self.norm(self.first(x.reshape(len(x), -1))))
        return self.last(self.dropout(x, rngs=rngs)).reshape(-1, *self.out_shape)


def from_nnx(make: Callable[[nnx.Rngs], nnx.Module]) -> Functions:
    """A module as functions of its variables; `make(rngs)` builds it."""
    graph, *likes = nnx.split(nnx.eval_shape(lambda: make(nnx.Rngs(0))), *KINDS)  # its structure, without numbers

    def init(key, *inputs):
        _, params, stats = nnx.split(make(nnx.Rngs(key)), *KINDS)
        return {"params": by_path(params), "batch_stats": by_path(stats)}

    def apply(variables, *inputs, key=None):
        trees = map(from_paths, likes, (variables["params"], variables["batch_stats"]))
        module = nnx.merge(graph, *trees)
        if key is None:
            module.eval()
            return module(*inputs), {}
        module.train()
        outputs = module(*inputs, rngs=nnx.Rngs(key))
        return outputs, {"batch_stats": by_path(nnx.state(module, nnx.BatchStat))}

    return Functions(init, apply)


def normed(hidden: int = 128, dropout: float = 0.1) -> Network:
    """The network; its arguments are options of a config."""

    def dense(in_shape, out_shape):
        return from_nnx(lambda rngs: Dense(rngs, in_shape, hidden, dropout, out_shape))

    return Network(
        encoder=lambda data_shape, num_outputs: dense(data_shape, (num_outputs,)),
        decoder=lambda latent_shape, output_shape: dense(latent_shape, output_shape),
    )
