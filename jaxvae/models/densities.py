"""Refusing models whose posterior has no density at any z."""

from jaxvae.common.errors import UserError
from jaxvae.models.base import Model


def require_density(model: Model, tool: str, instead: str) -> None:
    """Refuses a model without a likelihood, or whose log q(z|x) is not known at any z.

    Args:
      model: what `tool` is asked to use.
      tool: who needs the density, the first words of the message.
      instead: a sentence that says what to do, the last words.

    Raises:
      UserError: there is no such density.
    """
    if not model.has_likelihood:
        raise UserError(f"{tool} needs a posterior and a likelihood that are densities. {instead}")
    if not model.latent.knows_density:
        raise UserError(
            f"{tool} needs the density of any z under q(z|x), but this model's posterior has all its mass on points, "
            f"or knows only the density of its own draws. {instead}"
        )
