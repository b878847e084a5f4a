"""Refuse models whose posterior has no density at any z."""

from jaxvae.common.errors import UserError
from jaxvae.models.base import Model


def require_density(model: Model, tool: str, instead: str) -> None:
    """Raise UserError for a model without a likelihood, or without log q(z|x) at any z.

    Args:
      model: the model.
      tool: the user of the density, which begins the message.
      instead: a sentence with the remedy, which ends the message.

    Raises:
      UserError: the model lacks such a density.
    """
    if not model.has_likelihood:
        raise UserError(f"{tool} needs a posterior and a likelihood that are densities. {instead}")
    if not model.latent.knows_density:
        raise UserError(
            f"{tool} needs the density of q(z|x) at any z, but this model's posterior has all its mass on points, "
            f"or a density only at its own draws. {instead}"
        )
