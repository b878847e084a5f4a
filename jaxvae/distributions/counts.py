"""Distributions of counts parametrised by the logarithm of the mean, which does not underflow in float32."""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints

from jaxvae.losses import negative_binomial_log_prob, poisson_log_prob


class Poisson(dist.Distribution):
    """Poisson(exp(log_mean)). NumPyro's takes the rate, which underflows to 0 and scores -inf at log_mean < -88."""

    support = constraints.nonnegative_integer  # pyright: ignore[reportAssignmentType]
    pytree_data_fields = ("log_mean",)

    def __init__(self, log_mean, *, validate_args=None):
        self.log_mean = log_mean
        super().__init__(jnp.shape(log_mean), validate_args=validate_args)

    @property
    def mean(self):
        return jnp.exp(self.log_mean)

    @property
    def variance(self):
        return jnp.exp(self.log_mean)

    def sample(self, key: Any, sample_shape=()):
        return jax.random.poisson(key, self.mean, (*sample_shape, *self.batch_shape))

    def log_prob(self, value):
        return poisson_log_prob(self.log_mean, value)


class NegativeBinomial(dist.Distribution):
    """Poisson with a gamma distributed rate: mean m and variance m + m^2 / r, with r = exp(log_concentration).

    NumPyro's `NegativeBinomial2` takes m and r themselves. There m = 0 gives NaN, and from r = 1e4 on, near the Poisson
    limit, float32 leaves a difference of huge terms; here every term is of the size of the result.
    """

    support = constraints.nonnegative_integer  # pyright: ignore[reportAssignmentType]
    pytree_data_fields = ("log_mean", "log_concentration")

    def __init__(self, log_mean, log_concentration, *, validate_args=None):
        self.log_mean, self.log_concentration = jnp.broadcast_arrays(log_mean, log_concentration)
        super().__init__(self.log_mean.shape, validate_args=validate_args)

    @property
    def mean(self):
        return jnp.exp(self.log_mean)

    @property
    def variance(self):
        return self.mean * (1 + jnp.exp(self.log_mean - self.log_concentration))

    def sample(self, key: Any, sample_shape=()):
        rate_key, count_key = jax.random.split(key)
        shape = (*sample_shape, *self.batch_shape)
        log_gamma = jax.random.loggamma(rate_key, jnp.exp(self.log_concentration), shape)
        return jax.random.poisson(count_key, jnp.exp(log_gamma + self.log_mean - self.log_concentration), shape)

    def log_prob(self, value):
        return negative_binomial_log_prob(self.log_mean, self.log_concentration, value)
