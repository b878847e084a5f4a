"""Mixed precision and rematerialisation of networks; parameters stay float32."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxvae.common.errors import unknown
from jaxvae.common.types import Tree
from jaxvae.networks import DiscriminatorNetwork, Functions, Network, functions

DTYPES = ("float32", "bfloat16")


def cast(tree: Tree, dtype: str) -> Tree:
    """Cast the floats of a tree to `dtype`; integers, keys and masks are unchanged."""

    def one(leaf):
        return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(one, tree)


def rounded(network: Functions, dtype: str, remat: bool, exact: tuple[int, ...] = ()) -> Functions:
    """Wrap a network to compute in `dtype`, with or without rematerialisation.

    Args:
      network: the wrapped network, initialised as usual; its state is not rounded.
      dtype: of the parameters and inputs that the network gets; its outputs are cast back to float32.
      remat: whether the backward pass recomputes the network from its inputs.
      exact: positions of inputs that are never rounded.
    """

    def inexact(run: Callable, keep: tuple[int, ...]) -> Callable:
        def one(variables: dict[str, Tree], *inputs: Any, **options: Any) -> Any:
            seen = {**variables, "params": cast(variables.get("params", {}), dtype)}
            given = [each if i in keep else cast(each, dtype) for i, each in enumerate(inputs)]
            return run(seen, *given, **options)

        return jax.checkpoint(one) if remat else one

    def outputs_alone(variables, *inputs, **options):
        outputs, state = network.apply(variables, *inputs, **options)
        return cast(outputs, "float32"), state

    def float32(run: Callable | None) -> Callable | None:
        return None if run is None else lambda *args: cast(run(*args), "float32")

    start, step = float32(network.start), float32(network.step)
    return network._replace(
        apply=inexact(outputs_alone, exact),
        start=start and inexact(start, ()),  # which is not given the data
        step=step and inexact(step, exact),
    )


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
    if _is_plain(dtype, remat):
        return network

    def encoder(data_shape, num_outputs):
        return rounded(functions(network.encoder(data_shape, num_outputs)), dtype, remat, (0,) * tokens)

    def decoder(latent_shape, output_shape):
        return rounded(functions(network.decoder(latent_shape, output_shape)), dtype, remat, (1,) * tokens)

    return network._replace(encoder=encoder, decoder=decoder)


def computed_discriminator(
    network: DiscriminatorNetwork, dtype: str = "float32", remat: bool = False
) -> DiscriminatorNetwork:
    """Make a discriminator compute in `dtype`, with or without rematerialisation, as `computed`.

    Raises:
      UserError: an unknown dtype.
    """
    if _is_plain(dtype, remat):
        return network
    return network._replace(build=lambda shape: rounded(functions(network.build(shape)), dtype, remat))


def _is_plain(dtype: str, remat: bool) -> bool:
    if dtype not in DTYPES:
        raise unknown("value of train.compute_dtype", dtype, DTYPES)
    return dtype == "float32" and not remat
