"""Posteriors on the sphere and on the Poincaré ball."""

import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.distributions import VonMisesFisher, WrappedNormal, expmap0
from jaxvae.losses import softplus
from jaxvae.posteriors.base import SPHERE, Posterior, ball


def von_mises_fisher(latent_dim: int) -> Posterior:
    """VMF on the unit sphere in R^latent_dim, concentration 1 + softplus (Davidson et al. 2018, arXiv:1804.00891).

    Raises:
      UserError: `latent_dim` is below 2.
    """
    check_sphere(latent_dim)

    def build(params, outputs, log_joint):
        del params, log_joint
        direction = outputs[..., :latent_dim]
        length = jnp.sqrt(jnp.sum(jnp.square(direction), axis=-1, keepdims=True) + 1e-12)
        return VonMisesFisher(direction / length, 1 + softplus(outputs[..., latent_dim]))

    return Posterior((latent_dim,), latent_dim + 1, build, space=SPHERE)


def wrapped_normal(latent_dim: int, curvature: float = 1.0) -> Posterior:
    """A normal wrapped onto the Poincaré ball of curvature -`curvature` (arXiv:1901.06033, section 3).

    Raises:
      UserError: `curvature` is not above 0.
    """
    check_curvature(curvature)

    def build(params, outputs, log_joint):
        del params, log_joint
        mean, raw = jnp.split(outputs, 2, axis=-1)
        return WrappedNormal(expmap0(mean, curvature), softplus(raw) + 1e-4, curvature)

    return Posterior((latent_dim,), 2 * latent_dim, build, space=ball(curvature))


def check_sphere(latent_dim: int) -> None:
    """Raises UserError for a sphere of no dimension."""
    if latent_dim < 2:
        raise UserError(f"model.latent_dim is {latent_dim}; a sphere needs at least 2 (in R^2 it is the circle).")


def check_curvature(curvature: float) -> None:
    """Raises UserError for a curvature that is not above 0."""
    if not curvature > 0:
        raise UserError(f"The curvature of the Poincaré ball is {curvature}; it must be above 0 (it is its size).")
