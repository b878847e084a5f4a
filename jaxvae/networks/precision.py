"""How networks compute: in which floats, and what their backward pass keeps; parameters stay float32."""

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
    """The tree with its floats as `dtype`; whole numbers, keys and masks stay as they are."""

    def one(leaf):
        return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(one, tree)


@dataclasses.dataclass(frozen=True)
class Computed:
    """A module that computes as told: equal to another of the same settings, and used like the module itself.

    Attributes:
      module: its parameters are made as ever.
      dtype: of the parameters and inputs that it sees; what it gives is float32 again.
      remat: whether the backward pass computes the module anew from its inputs.
      exact: the positions of arguments that are never rounded.
    """

    module: nn.Module
    dtype: str
    remat: bool
    exact: tuple[int, ...] = ()

    def init(self, *args: Any, **options: Any) -> Any:
        """As the module's."""
        return self.module.init(*args, **options)

    def apply(self, variables: Params, *args: Any, **options: Any) -> Any:
        """As the module's, in `dtype`."""
        exact = () if options.get("method") == "start" else self.exact  # which is not given the data

        def run(variables, *args):
            rounded = [arg if i in exact else cast(arg, self.dtype) for i, arg in enumerate(args)]
            return cast(self.module.apply(cast(variables, self.dtype), *rounded, **options), "float32")

        return (jax.checkpoint(run) if self.remat else run)(variables, *args)


def computed(network: Network, dtype: str = "float32", remat: bool = False, tokens: bool = False) -> Network:
    """The network, computing in `dtype`, its activations kept or not.

    Parameters, and so gradients and the optimiser's state, stay float32, as do posteriors, likelihoods and losses: the
    modules alone see bfloat16, which has float32's range and so needs no scaling of the loss (arXiv:1905.12322).
    Networks within flows are part of a density, and stay float32.

    With `remat` the backward pass keeps what goes into the encoder and into the decoder, and computes each anew
    (arXiv:1604.06174): the activations of one of them are held at a time, for a third more of computation. That is so
    on GPU and TPU; XLA on CPU finds that the same numbers are computed twice, and keeps them.

    Args:
      network: a part; with "float32" and no `remat` it is given back as it is.
      dtype: "float32" or "bfloat16".
      remat: see above.
      tokens: whether the data is tokens, numbers that are not to be rounded.

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
