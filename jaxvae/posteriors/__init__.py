"""Posteriors q(z|x): distributions of the latent, built from an encoder's outputs."""

from jaxvae.posteriors.base import Posterior
from jaxvae.posteriors.discrete import finite_scalar, gumbel_softmax, vector_quantized
from jaxvae.posteriors.flows import hamiltonian, inverse_autoregressive_flow, planar_flow, radial_flow
from jaxvae.posteriors.gaussian import delta, diagonal_gaussian, full_covariance
from jaxvae.posteriors.implicit import implicit
from jaxvae.posteriors.manifolds import von_mises_fisher, wrapped_normal

__all__ = [
    "Posterior", "delta", "diagonal_gaussian", "finite_scalar", "full_covariance", "gumbel_softmax", "hamiltonian",
    "implicit", "inverse_autoregressive_flow", "planar_flow", "radial_flow", "vector_quantized", "von_mises_fisher",
    "wrapped_normal",
]  # fmt: skip
