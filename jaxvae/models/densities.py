"""What a posterior's density can be asked for."""

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Params
from jaxvae.distributions import Quantized
from jaxvae.models.base import Model


def knows_density(model: Model, params: Params) -> bool:
    """Whether log q(z|x) exists at any z, and not only at a z that q(z|x) has just drawn.

    A point has none, a quantised posterior has all its mass on one code, and a Hamiltonian one refuses. Nothing is
    computed: `params` may be shapes alone (`jax.eval_shape(model.init, key)`).
    """

    def log_prob(params: Params, x: Array, z: Array) -> tuple:
        q = model.encode(params, x)
        return q, q.log_prob(z)

    if not model.posterior.is_density:
        return False
    try:
        shapes = params, jnp.zeros((1, *model.data_shape)), jnp.zeros((1, *model.latent_shape))
        return not isinstance(jax.eval_shape(log_prob, *shapes)[0], Quantized)
    except UserError:
        return False


def require_density(model: Model, params: Params, tool: str, instead: str) -> None:
    """Refuses a model that has no density log q(z|x) at any z, or no likelihood.

    Args:
      model: what `tool` is asked to use.
      params: its parameters; nothing is computed.
      tool: who needs the density, the first words of the message.
      instead: a sentence that says what to do, the last words.

    Raises:
      UserError: there is none.
    """
    if not model.has_likelihood:
        raise UserError(f"{tool} needs a posterior and a likelihood that are densities. {instead}")
    if not knows_density(model, params):
        raise UserError(
            f"{tool} needs the density of any z under q(z|x), but this model's posterior has all its mass on points, "
            f"or knows only the density of its own draws. {instead}"
        )
