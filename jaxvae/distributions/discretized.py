"""Distributions over `levels` equally spaced values in [low, high]; log_prob is a log-mass, in nats."""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints

from jaxvae.losses import (
    categorical_log_prob,
    discretized_logistic_log_prob,
    discretized_logistic_mixture_log_prob,
)


class _Levels(dist.Distribution):
    """Level i is low + i * step with step = (high - low) / (levels - 1)."""

    pytree_aux_fields = ("levels", "low", "high")

    def __init__(self, batch_shape, levels, low, high, *, validate_args=None):
        self.levels, self.low, self.high = levels, low, high
        super().__init__(batch_shape, validate_args=validate_args)

    @property
    def support(self):
        return constraints.interval(self.low, self.high)

    @property
    def step(self):
        return (self.high - self.low) / (self.levels - 1)

    def _index(self, value):
        return jnp.clip(jnp.round((value - self.low) / self.step), 0, self.levels - 1)

    def _value(self, index):
        return self.low + index * self.step


class DiscretizedLogistic(_Levels):
    """The mass of a logistic distribution in the bin of each level; the bins at the two edges are open.

    Salimans et al. 2017, arXiv:1701.05517, equation 2. `loc` and `scale > 0` have the batch shape, in data units.
    """

    pytree_data_fields = ("loc", "scale")

    def __init__(self, loc, scale, levels, low, high, *, validate_args=None):
        self.loc, self.scale = jnp.broadcast_arrays(loc, scale)
        super().__init__(self.loc.shape, levels, low, high, validate_args=validate_args)

    def log_prob(self, value):
        return discretized_logistic_log_prob(self.loc, self.scale, value, self.levels, self.low, self.high)

    def _index_moments(self):
        """E[i] and E[i^2] of the level's index: sums of P(i >= j) and (2j - 1) P(i >= j); one level at a time."""

        def add(j, moments):
            tail = jax.nn.sigmoid((self.loc - self._value(j - 0.5)) / self.scale)
            return moments[0] + tail, moments[1] + (2 * j - 1) * tail

        zeros = jnp.zeros_like(self.loc)
        return jax.lax.fori_loop(1, self.levels, add, (zeros, zeros))

    @property
    def mean(self):
        return self._value(self._index_moments()[0])

    @property
    def variance(self):
        first, second = self._index_moments()
        return self.step**2 * (second - jnp.square(first))

    def sample(self, key: Any, sample_shape=()):
        noise = jax.random.logistic(key, (*sample_shape, *self.batch_shape), self.loc.dtype)
        return self._value(self._index(self.loc + self.scale * noise))


class DiscretizedLogisticMixture(_Levels):
    """A mixture of `DiscretizedLogistic`; `logits`, `loc`, `scale` are `[..., components]` (arXiv:1701.05517, 2)."""

    pytree_data_fields = ("logits", "parts")

    def __init__(self, logits, loc, scale, levels, low, high, *, validate_args=None):
        self.logits, self.parts = logits, DiscretizedLogistic(loc, scale, levels, low, high)
        super().__init__(self.parts.batch_shape[:-1], levels, low, high, validate_args=validate_args)

    def log_prob(self, value):
        parameters = self.logits, self.parts.loc, self.parts.scale
        return discretized_logistic_mixture_log_prob(*parameters, value, self.levels, self.low, self.high)

    @property
    def mean(self):
        return jnp.sum(jax.nn.softmax(self.logits) * self.parts.mean, axis=-1)

    @property
    def variance(self):
        about = jnp.square(self.parts.mean - self.mean[..., None])
        return jnp.sum(jax.nn.softmax(self.logits) * (self.parts.variance + about), axis=-1)

    def sample(self, key: Any, sample_shape=()):
        which_key, value_key = jax.random.split(key)
        which = jax.random.categorical(which_key, self.logits, shape=(*sample_shape, *self.batch_shape))
        chosen = which[..., None] == jnp.arange(self.parts.batch_shape[-1])
        return jnp.sum(jnp.where(chosen, self.parts.sample(value_key, sample_shape), 0.0), axis=-1)


class CategoricalLevels(_Levels):
    """Categorical over levels, from `logits` `[..., levels]`. A value is rounded to its nearest level."""

    pytree_data_fields = ("logits",)

    def __init__(self, logits, low, high, *, validate_args=None):
        self.logits = logits
        super().__init__(logits.shape[:-1], logits.shape[-1], low, high, validate_args=validate_args)

    def log_prob(self, value):
        return categorical_log_prob(self.logits, self._index(value))

    @property
    def mode(self):
        return self._value(jnp.argmax(self.logits, axis=-1))

    @property
    def mean(self):
        return jnp.sum(jax.nn.softmax(self.logits) * self._value(jnp.arange(self.levels)), axis=-1)

    @property
    def variance(self):
        about = jnp.square(self._value(jnp.arange(self.levels)) - self.mean[..., None])
        return jnp.sum(jax.nn.softmax(self.logits) * about, axis=-1)

    def sample(self, key: Any, sample_shape=()):
        return self._value(jax.random.categorical(key, self.logits, shape=(*sample_shape, *self.batch_shape)))
