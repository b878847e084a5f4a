"""Models: pure functions made from posterior, prior, likelihood and network."""

from jaxvae.models.vae import Model, Pass, draw, forward, make_model, reconstruct, reparameterize, sample

__all__ = ["Model", "Pass", "draw", "forward", "make_model", "reconstruct", "reparameterize", "sample"]
