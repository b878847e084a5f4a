"""Gaussian posteriors, and the point mass of a plain autoencoder."""

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxvae.distributions.gaussian import FullNormal
from jaxvae.posteriors.base import Posterior


def split_moments(outputs):
    """Split outputs `[..., mean | logvar]` into the mean and the standard deviation, `[..., D]` each."""
    mean, logvar = jnp.split(outputs, 2, axis=-1)
    return mean, jnp.exp(0.5 * logvar)


def delta(latent_dim: int) -> Posterior:
    """Point mass at the code, for a plain autoencoder."""
    return Posterior(
        (latent_dim,), latent_dim, lambda params, outputs, _: dist.Delta(outputs, event_dim=1), is_density=False
    )


def diagonal_gaussian(latent_dim: int) -> Posterior:
    """Gaussian N(mean, diag(exp(logvar))), from outputs `[..., mean | logvar]` (arXiv:1312.6114, equation 9)."""

    def build(params, outputs, log_joint):
        del params, log_joint
        mean, scale = split_moments(outputs)
        return dist.Normal(mean, scale).to_event(1)

    return Posterior((latent_dim,), 2 * latent_dim, build)


def full_covariance(latent_dim: int) -> Posterior:
    """Gaussian N(mean, L L'), with L lower triangular and a positive diagonal (arXiv:1906.02691, section 2.5.1).

    The outputs are `[..., mean | log of L's squared diagonal | L's entries below it, row by row]`. The density at its
    own draws is exact; at other z, as for `gradient=stl` and metrics of the aggregated posterior, float32 loses digits
    where L is ill-conditioned.
    """
    rows, columns = jnp.tril_indices(latent_dim, -1)

    def build(params, outputs, log_joint):
        del params, log_joint
        mean, scale = split_moments(outputs[..., : 2 * latent_dim])
        factor = jnp.zeros((*mean.shape, latent_dim)).at[..., rows, columns].set(outputs[..., 2 * latent_dim :])
        factor = factor + jnp.expand_dims(scale, -1) * jnp.eye(latent_dim)
        return FullNormal(mean, scale_tril=factor, validate_args=False)

    return Posterior((latent_dim,), 2 * latent_dim + len(rows), build)
