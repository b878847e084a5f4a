"""Distributions of the columns of a table, and their product."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from numpyro.distributions import constraints

from jaxvae.losses import categorical_log_prob, log_normal_log_prob, ordinal_log_prob
from jaxvae.losses.ordinal import ordinal_log_probs


class LogNormal(dist.LogNormal):
    """NumPyro's log-normal with finite derivatives, and -inf, where a value is not above 0."""

    def log_prob(self, value, intermediates=None):
        del intermediates
        return log_normal_log_prob(jnp.asarray(self.loc), 2 * jnp.log(self.scale), jnp.asarray(value))


class _Codes(dist.Distribution):
    """Categories with codes 0 to K - 1, as floats. They have no mean; the mode, the likeliest code, is in its place."""

    support = constraints.nonnegative_integer  # pyright: ignore[reportAssignmentType]

    @property
    def log_probs(self):
        """Log-masses `[..., K]`."""
        raise NotImplementedError

    @property
    def mean(self):
        return jnp.argmax(self.log_probs, axis=-1).astype(float)

    def sample(self, key: Any, sample_shape=()):
        return jax.random.categorical(key, self.log_probs, shape=(*sample_shape, *self.batch_shape)).astype(float)


class Categories(_Codes):
    """Categorical distribution on `logits` `[..., K]`."""

    pytree_data_fields = ("logits",)

    def __init__(self, logits, *, validate_args=None):
        self.logits = logits
        super().__init__(logits.shape[:-1], validate_args=validate_args)

    @property
    def log_probs(self):
        return jax.nn.log_softmax(self.logits)

    def log_prob(self, value):
        return categorical_log_prob(self.logits, jnp.round(value))


class Ordinal(_Codes):
    """Cumulative logit: P(code <= k) = sigmoid(t_k - location), thresholds t `[..., K - 1]` increasing, see
    `losses.ordinal_log_prob`.
    """

    pytree_data_fields = ("location", "thresholds")

    def __init__(self, location, thresholds, *, validate_args=None):
        self.location, self.thresholds = location, thresholds
        super().__init__(jnp.shape(location), validate_args=validate_args)

    @property
    def log_probs(self):
        return ordinal_log_probs(self.location, self.thresholds)

    def log_prob(self, value):
        return ordinal_log_prob(self.location, self.thresholds, jnp.round(value))


class Columns(dist.Distribution):
    """Independent values `[..., D]`, a product of distributions of groups of them.

    Args:
      parts: distributions of batch shape `[..., D_g]`, each of some columns.
      places: `(columns of part 0, columns of part 1 ...)`, tuples of indices; each of the D columns once.
    """

    support = constraints.real  # pyright: ignore[reportAssignmentType]
    pytree_data_fields = ("parts",)
    pytree_aux_fields = ("places",)

    def __init__(self, parts, places, *, validate_args=None):
        self.parts, self.places = tuple(parts), tuple(places)
        shape = (*self.parts[0].batch_shape[:-1], sum(map(len, self.places)))
        super().__init__(shape, validate_args=validate_args)

    def _joined(self, values):
        order = [column for part in self.places for column in part]
        inverse = sorted(range(len(order)), key=order.__getitem__)
        return jnp.concatenate(values, axis=-1)[..., jnp.array(inverse)]

    def log_prob(self, value):
        value = jnp.asarray(value)
        split = [value[..., jnp.array(places)] for places in self.places]
        return self._joined([part.log_prob(x) for part, x in zip(self.parts, split, strict=True)])

    @property
    def mean(self):
        """Mean of each number; the likeliest code of each category."""
        return self._joined([part.mean for part in self.parts])

    @property
    def statistics(self):
        """Values `[..., S]` whose average over z gives `estimate`: means of numbers, shares of categories."""
        batch = self.batch_shape[:-1]
        found = [jnp.exp(part.log_probs) if isinstance(part, _Codes) else part.mean for part in self.parts]
        return jnp.concatenate([each.reshape(*batch, -1) for each in found], axis=-1)

    def estimate(self, statistics):
        """Return the mean of each number and the likeliest code of each category, `[..., D]`, from statistics."""
        widths = [part.log_probs.shape[-1] if isinstance(part, _Codes) else 1 for part in self.parts]
        ends = np.cumsum([len(of) * width for of, width in zip(self.places, widths, strict=True)])
        split = jnp.split(statistics, ends[:-1].tolist(), axis=-1)
        shaped = [flat.reshape(*flat.shape[:-1], -1, width) for flat, width in zip(split, widths, strict=True)]
        return self._joined([jnp.argmax(x, -1).astype(float) if x.shape[-1] > 1 else x[..., 0] for x in shaped])

    def sample(self, key: Any, sample_shape=()):
        keys = jax.random.split(key, len(self.parts))
        drawn = [part.sample(k, sample_shape) for part, k in zip(self.parts, keys, strict=True)]
        return self._joined([x.astype(float) for x in drawn])
