"""Distributions over `levels` equally spaced values in [low, high]; log_prob is a log-mass, in nats."""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints

from jaxvae.losses import softplus


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
        # For edges a > b of a bin, sigmoid(a) - sigmoid(b) = (1 - e^(b - a)) sigmoid(a) sigmoid(-b): no difference of
        # nearly equal numbers is left, so neither tiny scales nor far values need a branch.
        half = 0.5 * self.step
        first, last = value < self.low + half, value > self.high - half
        above = softplus((self.loc - value - half) / self.scale)  # -log sigmoid(a)
        below = softplus((value - half - self.loc) / self.scale)  # -log sigmoid(-b)
        width = jnp.log(-jnp.expm1(-self.step / self.scale))
        return jnp.where(first | last, 0.0, width) - jnp.where(last, 0.0, above) - jnp.where(first, 0.0, below)

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
        log_probs = self.parts.log_prob(jnp.expand_dims(value, -1))
        return jax.nn.logsumexp(jax.nn.log_softmax(self.logits) + log_probs, axis=-1)

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
        # XLA fuses the comparison, the sum and their derivative; the derivative of a gather would be a scatter.
        chosen = self._index(value)[..., None] == jnp.arange(self.levels)
        return jnp.sum(jnp.where(chosen, self.logits, 0.0), axis=-1) - jax.nn.logsumexp(self.logits, axis=-1)

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
