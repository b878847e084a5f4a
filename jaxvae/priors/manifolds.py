"""Priors on the sphere and on the Poincaré ball."""

import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.distributions import HypersphericalUniform, WrappedNormal
from jaxvae.distributions.spaces import SPHERE, ball, check_curvature, check_sphere
from jaxvae.priors.base import Prior


def uniform_sphere(latent_dim: int) -> Prior:
    """Uniform on the unit sphere in R^latent_dim."""
    check_sphere(latent_dim)
    return Prior(lambda params, encode: HypersphericalUniform(latent_dim), space=SPHERE)


def wrapped_normal(latent_dim: int, curvature: float = 1.0, scale: float = 1.0) -> Prior:
    """Normal of standard deviation `scale` wrapped onto the Poincaré ball at its origin (arXiv:1901.06033).

    Args:
      latent_dim: the dimension of the ball.
      curvature: c, above 0: the ball has the radius 1 / sqrt(c). The same as that of the posterior.
      scale: standard deviation, in units of hyperbolic distance.

    Raises:
      UserError: `curvature` or `scale` is not above 0.
    """
    check_curvature(curvature)
    if not scale > 0:
        raise UserError(f"The prior 'wrapped_normal' got scale={scale}; it must be above 0.")

    def build(params, encode):
        del params, encode
        return WrappedNormal(jnp.zeros(latent_dim), jnp.full(latent_dim, scale), curvature)

    return Prior(build, space=ball(curvature))
