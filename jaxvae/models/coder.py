"""Run an encoder or a decoder within a model: on any batch axes, with its state, and with checked outputs."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params, Tree
from jaxvae.likelihoods import Likelihood
from jaxvae.models.base import require_context
from jaxvae.networks import Functions, Network, functions

STATE = "network_state"  # the part of a model's parameters that holds the state of its networks, by network


class Coder(NamedTuple):
    """A network with its place in a model's parameters: `params[name]`, and `params[STATE][name]` if it has state.

    Attributes:
      name: "encoder" or "decoder".
      network: pure functions of inputs with one batch axis.
      in_shapes: shape of one example of each input, without the context.
      out_shape: shape of the outputs for one example.
      context_dim: C where a context `[..., C]` is the last input, else 0.
      is_sequential: whether the outputs have the length of a given sequence instead of that in `out_shape`.
    """

    name: str
    network: Functions
    in_shapes: tuple[tuple[int, ...], ...]
    out_shape: tuple[int, ...]
    context_dim: int = 0
    is_sequential: bool = False

    def context(self, given: Array | None, dim: int) -> Array | None:
        """Return the context of a conditional model for this network, None where the network takes none.

        Raises:
          UserError: a context that is missing, or not of length `dim`, that of the model.
        """
        if self.context_dim or given is not None:
            require_context(dim, given)
        return given if self.context_dim else None

    def init(self, key: Key) -> dict[str, Tree]:
        """Initialise the variables: "params", and the collections of the network's state.

        Raises:
          UserError: a Flax Linen module with state but without an argument `is_training`.
        """
        shapes = self.in_shapes + ((self.context_dim,),) * bool(self.context_dim)
        variables = self.network.init(key, *(jnp.zeros((1, *shape)) for shape in shapes))
        if not self.network.may_have_state and (others := sorted(variables.keys() - {"params"})):
            raise UserError(
                f"The {self.name} has state ({', '.join(others)}), but no training mode: give its `__call__` an "
                "argument `is_training: bool = False`."
            )
        return variables

    def init_state(self, key: Key) -> dict[str, Tree]:
        """Initialise only the collections; `{}` without state."""
        if not self.network.may_have_state:
            return {}
        return {name: tree for name, tree in self.init(key).items() if name != "params" and jax.tree.leaves(tree)}

    def variables(self, params: Params) -> dict[str, Tree]:
        """Select the network's variables from the model's parameters."""
        return {"params": params.get(self.name, {}), **params.get(STATE, {}).get(self.name, {})}

    def __call__(
        self, params: Params, x: Array, context: Array | None = None, key: Key | None = None
    ) -> tuple[Array, Tree]:
        """Compute outputs `[*batch, *out_shape]` for x `[*batch, *in_shape]`, and the next state `{name: collections}`.

        With a key the network runs in training mode, see `Functions`; without one the next state is `{}`.

        Raises:
          UserError: outputs of another shape.
        """
        batch = x.shape[: x.ndim - len(self.in_shapes[0])]
        inputs = [x.reshape(math.prod(batch), *x.shape[len(batch) :])]  # sequences have any length
        if context is not None:
            inputs.append(jnp.broadcast_to(context, (*batch, self.context_dim)).reshape(-1, self.context_dim))
        outputs, state = self.checked().apply(self.variables(params), *inputs, key=key)
        return outputs.reshape(*batch, *self.out_shape), {self.name: state} if state else {}

    def checked(self) -> Functions:
        """Return the network with a check that raises UserError for outputs of a wrong shape."""

        def apply(variables: dict[str, Tree], *inputs: Any, **options: Any) -> tuple[Any, dict[str, Tree]]:
            outputs, state = self.network.apply(variables, *inputs, **options)
            length = inputs[1].shape[1:2] if self.is_sequential else self.out_shape[:1]
            wanted = (len(inputs[0]), *length, *self.out_shape[1:])
            alike = (len(inputs[0]), 1, *self.out_shape[1:])  # one step that stands for all
            if getattr(outputs, "shape", None) not in ((wanted, alike) if self.is_sequential else (wanted,)):
                got = f"the shape {outputs.shape}" if hasattr(outputs, "shape") else f"a {type(outputs).__name__}"
                raise UserError(
                    f"The {self.name} must map inputs of shape {inputs[0].shape} to outputs of shape {wanted}, not "
                    f"{got}. The network that `Network.{self.name}` builds has one batch axis, and outputs of shape "
                    f"{wanted[1:]} for each example."
                )
            return outputs, state

        return self.network._replace(apply=apply)


def make_coders(
    network: Network,
    input_shape: tuple[int, ...],
    num_outputs: int,
    latent_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
) -> tuple[Coder, Coder]:
    """Build encoder and decoder with these sizes."""
    reads = (input_shape,) if network.is_sequential else ()  # the previous steps
    encoder, decoder = network.encoder(input_shape, num_outputs), network.decoder(latent_shape, output_shape)
    return (
        Coder("encoder", functions(encoder), (input_shape,), (num_outputs,)),
        Coder("decoder", functions(decoder), (latent_shape, *reads), output_shape, is_sequential=network.is_sequential),
    )


def initial_state(coders: tuple[Coder, ...], key: Key) -> Tree:
    """Initialise `{STATE: {name: collections}}` for networks with state; `{}` where none has state."""
    keys = jax.random.split(key, len(coders))
    found = {coder.name: coder.init_state(k) for coder, k in zip(coders, keys, strict=True)}
    found = {name: state for name, state in found.items() if state}
    return {STATE: found} if found else {}


def network_input(likelihood: Likelihood, x: Array, mask: Array | None, mask_input: bool) -> Array:
    """Return the input of a network that reads x `[..., *data_shape]`: missing values filled, with the mask."""
    inputs = likelihood.encoder_input(x if mask is None else jnp.where(mask, x, jnp.asarray(likelihood.fill)))
    if not mask_input:
        return inputs
    observed = jnp.ones(x.shape, bool) if mask is None else jnp.broadcast_to(mask, x.shape)
    return jnp.concatenate([inputs, observed.astype(inputs.dtype)], axis=-1)
