"""Models: pure functions built from posterior, prior, likelihood and network."""

from jaxvae.models.actor import make_actor
from jaxvae.models.base import Model, Pass, centre, draw, reparameterize
from jaxvae.models.context import given
from jaxvae.models.facts import Data, Latent, State
from jaxvae.models.sampling import reconstruct, sample
from jaxvae.models.vae import make_model

__all__ = [
    "Data", "Latent", "Model", "Pass", "State", "centre", "draw", "given", "make_actor", "make_model", "reconstruct",
    "reparameterize", "sample",
]  # fmt: skip
