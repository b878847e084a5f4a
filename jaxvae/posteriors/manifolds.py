"""Posteriors on the sphere and on the Poincaré ball."""

import jax.numpy as jnp

from jaxvae.distributions import VonMisesFisher, WrappedNormal, expmap0
from jaxvae.distributions.spaces import SPHERE, ball, check_curvature, check_sphere
from jaxvae.losses import softplus
from jaxvae.posteriors.base import Posterior


def von_mises_fisher(latent_dim: int) -> Posterior:
    """Von Mises-Fisher on the unit sphere in R^latent_dim, concentration 1 + softplus(output) (arXiv:1804.00891).

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
    """Normal wrapped onto the Poincaré ball of curvature -`curvature` (arXiv:1901.06033, section 3).

    Args:
      latent_dim: the dimension of the ball.
      curvature: c, above 0: the ball has the radius 1 / sqrt(c). The same as that of the prior.

    Raises:
      UserError: `curvature` is not above 0.
    """
    check_curvature(curvature)

    def build(params, outputs, log_joint):
        del params, log_joint
        mean, raw = jnp.split(outputs, 2, axis=-1)
        return WrappedNormal(expmap0(mean, curvature), softplus(raw) + 1e-4, curvature)

    return Posterior((latent_dim,), 2 * latent_dim, build, space=ball(curvature))
