"""Distributions of data values, and the wrapper that joins values to one event."""

import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints

from jaxvae.distributions.continuous import Reconstruction
from jaxvae.losses import bernoulli_log_prob


class Shaped(dist.Distribution):
    """Values `[..., D]` as one event of shape `shape`, whose product is D: independent values of batch shape
    `[..., D]`, or one distribution of event shape `[D]`.

    Not `Independent`, since XLA on CPU sums one long axis faster than the three of an image.
    """

    pytree_data_fields = ("values",)
    pytree_aux_fields = ("shape_",)

    def __init__(self, values, shape, *, validate_args=None):
        self.values, self.shape_ = values, tuple(shape)
        batch_shape = values.batch_shape if values.event_shape else values.batch_shape[:-1]
        super().__init__(batch_shape, self.shape_, validate_args=validate_args)

    @property
    def support(self):
        return constraints.independent(self.values.support, len(self.shape_) - len(self.values.event_shape))

    def _shaped(self, flat):
        return flat.reshape(*flat.shape[:-1], *self.shape_)

    @property
    def mean(self):
        return self._shaped(self.values.mean)

    @property
    def variance(self):
        return self._shaped(self.values.variance)

    def sample(self, key, sample_shape=()):
        return self._shaped(self.values.sample(key, sample_shape))

    def log_prob(self, value):
        value = jnp.reshape(value, (*jnp.shape(value)[: jnp.ndim(value) - len(self.shape_)], -1))
        log_prob = self.values.log_prob(value)
        return log_prob if self.values.event_shape else jnp.sum(log_prob, axis=-1)


class Bernoulli(dist.BernoulliLogits):
    """NumPyro's Bernoulli on logits, with grey values (as cross-entropy) and a faster derivative."""

    def log_prob(self, value):
        return bernoulli_log_prob(jnp.asarray(self.logits), jnp.asarray(value))


class SquaredError(Reconstruction):
    """-(x - loc)^2 instead of a log-density. Not a density: `Likelihood.is_density` is False."""

    def log_prob(self, value):
        return -jnp.square(value - self.loc)
