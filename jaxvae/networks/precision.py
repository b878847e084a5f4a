"""Mixed precision and rematerialisation of networks; parameters stay float32."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvae.common.errors import unknown
from jaxvae.common.types import Params, Tree
from jaxvae.networks import Network

DTYPES = ("float32", "bfloat16")


def cast(tree: Tree, dtype: str) -> Tree:
    """Cast the floats of a tree to `dtype`; integers, keys and masks are unchanged."""

    def one(leaf):
        return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(one, tree)


@dataclasses.dataclass(frozen=True)
class Computed:
    """Wrap a module to compute in `dtype`, with or without rematerialisation; equal to another of the same settings.

    Attributes:
      module: the wrapped module, initialised as usual.
      dtype: of the parameters and inputs that the module gets; its outputs are cast back to float32.
      remat: whether the backward pass recomputes the module from its inputs.
      exact: positions of arguments that are never rounded.
    """

    module: nn.Module
    dtype: str
    remat: bool
    exact: tuple[int, ...] = ()

    def init(self, *args: Any, **options: Any) -> Any:
        """Initialise the module."""
        return self.module.init(*args, **options)

    def apply(self, variables: Params, *args: Any, **options: Any) -> Any:
        """Apply the module in `dtype`."""
        exact = () if options.get("method") == "start" else self.exact  # which does not take the data

        def run(variables, *args):
            rounded = [arg if i in exact else cast(arg, self.dtype) for i, arg in enumerate(args)]
            return cast(self.module.apply(cast(variables, self.dtype), *rounded, **options), "float32")

        return (jax.checkpoint(run) if self.remat else run)(variables, *args)


def computed(network: Network, dtype: str = "float32", remat: bool = False, tokens: bool = False) -> Network:
    """Make a network compute in `dtype`, with or without rematerialisation.

    Parameters, and so gradients and the optimiser's state, stay float32, as do posteriors, likelihoods and losses. Only
    the modules compute in bfloat16, which has float32's range and so needs no loss scaling (arXiv:1905.12322). Networks
    of flows are part of a density, and stay float32.

    With `remat` the backward pass keeps the inputs of encoder and decoder, and recomputes each of them
    (arXiv:1604.06174): the activations of one of them are held at a time, for a third more computation. This holds on
    GPU and TPU; XLA on CPU merges the repeated computation, and keeps the activations.

    Args:
      network: a network, returned unchanged for "float32" without `remat`.
      dtype: "float32" or "bfloat16".
      remat: whether to recompute activations in the backward pass.
      tokens: whether the data is tokens, which must not be rounded.

    Raises:
      UserError: an unknown dtype.
    """
    if dtype not in DTYPES:
        raise unknown("value of train.compute_dtype", dtype, DTYPES)
    if dtype == "float32" and not remat:
        return network

    def encoder(data_shape, num_outputs):
        return Computed(network.encoder(data_shape, num_outputs), dtype, remat, (0,) * tokens)

    def decoder(latent_shape, output_shape):
        return Computed(network.decoder(latent_shape, output_shape), dtype, remat, (1,) * tokens)

    return network._replace(encoder=encoder, decoder=decoder)
