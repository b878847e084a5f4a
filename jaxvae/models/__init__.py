"""Models: pure functions made from posterior, prior, likelihood and network."""

from jaxvae.models.base import Model, Pass, draw, forward, reparameterize
from jaxvae.models.sampling import reconstruct, sample
from jaxvae.models.vae import make_model

__all__ = ["Model", "Pass", "draw", "forward", "make_model", "reconstruct", "reparameterize", "sample"]
