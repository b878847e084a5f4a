"""A mixture whose components depend on a further latent by a network: the prior of the GMVAE."""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints

from jaxvae.common.errors import UserError
from jaxvae.distributions.structure import normal_factors
from jaxvae.losses.kl import gaussian_kl


class NestedMixture(dist.Distribution):
    """Distribution of `[z | w]`: w ~ N(0, I), c uniform, z ~ N(mu_c(w), diag sigma_c(w)^2).

    Dilokthanakul et al. 2016, arXiv:1611.02648; c is summed over. It has the methods of NumPyro's
    mixtures for its components c.

    Args:
      net: `(params["network"], w [..., noise_dim]) -> [..., C, 2, D]`, what w adds to the means and the log-variances.
      params: "network", and "mean" and "logvar" `[C, D]`.
      noise_dim: the length of w, the last part of a value.
    """

    support = constraints.real_vector  # pyright: ignore[reportAssignmentType]
    pytree_data_fields = ("params",)
    pytree_aux_fields = ("net", "noise_dim")

    def __init__(self, net, params, noise_dim, *, validate_args=None):
        self.net, self.params, self.noise_dim = net, params, noise_dim
        super().__init__((), (params["mean"].shape[-1] + noise_dim,), validate_args=validate_args)

    @property
    def mixture_size(self):
        """The number of components C."""
        return self.params["mean"].shape[0]

    @property
    def mixing_distribution(self):
        """The uniform distribution of c."""
        return dist.CategoricalLogits(jnp.zeros(self.mixture_size))

    @property
    def noise(self):
        """The distribution of w."""
        return dist.Normal(jnp.zeros(self.noise_dim), 1.0).to_event(1)

    def moments(self, w):
        """Means and log-variances of z given w and each component, `[..., C, D]`."""
        mean, logvar = jnp.moveaxis(self.net(self.params["network"], w), -2, 0)
        return self.params["mean"] + mean, self.params["logvar"] + logvar

    def given(self, w):
        """The mixture of z given w, of batch shape `[...]`."""
        mean, logvar = self.moments(w)
        mixing = dist.CategoricalLogits(jnp.zeros(mean.shape[:-1]))
        return dist.MixtureSameFamily(mixing, dist.Normal(mean, jnp.exp(0.5 * logvar)).to_event(1))

    def split(self, value):
        """Split a value `[..., D + noise_dim]` into z and w."""
        return value[..., : -self.noise_dim], value[..., -self.noise_dim :]

    @property
    def mean(self):
        """The mean at w = 0: the centre. E[z] has no closed form."""
        w = jnp.zeros(self.noise_dim)
        return jnp.concatenate([self.given(w).mean, w])

    def sample(self, key: Any, sample_shape=()):
        """Sample `[*sample_shape, D + noise_dim]`."""
        noise_key, z_key = jax.random.split(key)
        w = self.noise.sample(noise_key, sample_shape)
        return jnp.concatenate([self.given(w).sample(z_key), w], axis=-1)

    def component_sample(self, key, sample_shape=()):
        """Sample each component at the same w, `[*sample_shape, C, D + noise_dim]`."""
        noise_key, z_key = jax.random.split(key)
        w = self.noise.sample(noise_key, sample_shape)
        z = self.given(w).component_sample(z_key)
        return jnp.concatenate([z, jnp.broadcast_to(w[..., None, :], (*z.shape[:-1], self.noise_dim))], axis=-1)

    def component_log_probs(self, value):
        """Log p(w) + log p(c) + log p(z|w, c), `[..., C]` nats."""
        z, w = self.split(value)
        return self.noise.log_prob(w)[..., None] + self.given(w).component_log_probs(z)

    def log_prob(self, value):
        """Log p(w) + log sum_c p(c) p(z|w, c), `[...]` nats."""
        return jax.nn.logsumexp(self.component_log_probs(value), axis=-1)

    def component_kls(self, posterior, value) -> Any:
        """KL(q(w|x) || p(w)) + KL(q(z|x) || p(z|w, c)) at the w of `value` `[K, B, D + noise_dim]`: `[K, B, C]` nats.

        Raises:
          UserError: q is not a diagonal Gaussian, so that z and w are not independent.
        """
        q: Any = normal_factors(posterior)
        if q is None:
            raise UserError(
                "The prior 'nested_mixture' needs a posterior q(z|x) q(w|x) whose dimensions are independent, for its "
                "KLs in closed form: take 'diagonal_gaussian'."
            )
        (z_mean, w_mean), (z_scale, w_scale) = self.split(q.loc), self.split(jnp.log(q.scale))
        mean, logvar = self.moments(self.split(value)[1])
        shift = (z_mean[..., None, :] - mean) * jnp.exp(-0.5 * logvar)
        of_z = jnp.sum(gaussian_kl(shift, z_scale[..., None, :] - 0.5 * logvar), axis=-1)
        return of_z + jnp.sum(gaussian_kl(w_mean, w_scale), axis=-1)[..., None]
