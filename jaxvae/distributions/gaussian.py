"""Gaussian with full covariance, with accurate log-densities of its own samples."""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxvae.losses import LOG_2PI


class FullNormal(dist.MultivariateNormal):
    """N(loc, L L') with loc `[..., d]` and L = `scale_tril` `[..., d, d]`, lower triangular with a positive diagonal.

    `sample_and_log_prob` computes the density from the noise e of the sample z = loc + L e, accurately for any
    condition number of L. `log_prob(z)` must solve for e, and its error grows with that number, since z is rounded.
    """

    pytree_data_fields = ()

    def sample_and_log_prob(self, key, sample_shape=()):
        """Sample `[*sample_shape, ..., d]`, with log-densities `[*sample_shape, ...]` in nats."""
        noise = jax.random.normal(key, (*sample_shape, *self.loc.shape))
        factor = jnp.asarray(self.scale_tril)
        z = self.loc + jnp.squeeze(jnp.matmul(factor, noise[..., None], precision="highest"), axis=-1)
        log_scale = jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1))
        return z, -jnp.sum(0.5 * (jnp.square(noise) + LOG_2PI) + log_scale, axis=-1)

    def sample(self, key, sample_shape=()):
        return self.sample_and_log_prob(key, sample_shape)[0]
