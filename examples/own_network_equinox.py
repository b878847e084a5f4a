"""An encoder and a decoder of Equinox modules (`pip install equinox`): `eqx.partition` makes them pure.

jaxvae --config=vae --config.network=own_network_equinox:dense --config.network.dropout=0.2    # from this folder
"""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxvae.networks import Functions, Network, by_path, from_paths


def from_equinox(make: Callable[[jax.Array], eqx.Module]) -> Functions:
    """A module of one example as functions of its parameters, of a batch; `make(key)` builds it."""

    def split(key):
        return eqx.partition(make(key), eqx.is_inexact_array)

    like, static = eqx.filter_eval_shape(split, jax.random.key(0))  # its structure, without numbers

    def init(key, *inputs):
        return {"params": by_path(split(key)[0])}

    def apply(variables, x, key=None):
        module = eqx.combine(from_paths(like, variables["params"]), static)
        if key is None:
            return jax.vmap(eqx.nn.inference_mode(module))(x), {}
        return jax.vmap(lambda x, key: module(x, key=key))(x, jax.random.split(key, len(x))), {}

    return Functions(init, apply)


def dense(hidden: int = 128, dropout: float = 0.1) -> Network:
    """The network; its arguments are options of a config."""

    def one(in_shape, out_shape):
        def make(key):
            first, last = jax.random.split(key)
            return eqx.nn.Sequential(
                [
                    eqx.nn.Lambda(jnp.ravel),
                    eqx.nn.Linear(math.prod(in_shape), hidden, key=first),
                    eqx.nn.Lambda(jax.nn.relu),
                    eqx.nn.Dropout(dropout),
                    eqx.nn.Linear(hidden, math.prod(out_shape), key=last),
                    eqx.nn.Lambda(lambda x: x.reshape(out_shape)),
                ]
            )

        return from_equinox(make)

    return Network(
        encoder=lambda data_shape, num_outputs: one(data_shape, (num_outputs,)),
        decoder=lambda latent_shape, output_shape: one(latent_shape, output_shape),
    )
