"""Distributions over rows of a codebook: of codes, a relaxed categorical, a quantised vector."""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints

from jaxvae.common.types import Array


def nearest_code(z: Array, codebook: Array) -> Array:
    """Index `[...]` of the row of `codebook` `[num_codes, D]` nearest to z `[..., D]`."""
    scores = jnp.matmul(z, codebook.T, precision="highest") - 0.5 * jnp.sum(jnp.square(codebook), axis=-1)
    return jnp.argmax(scores, axis=-1)


class Coded(dist.Distribution):
    """Distribution of `codebook[i]` `[N, D]` for codes i ~ `codes`, whole numbers `[N]`."""

    support = constraints.independent(constraints.real, 2)  # pyright: ignore[reportAssignmentType]
    pytree_data_fields = ("codes", "codebook")

    def __init__(self, codes, codebook, *, validate_args=None):
        self.codes, self.codebook = codes, codebook
        shape = (*codes.event_shape, codebook.shape[-1])
        super().__init__(codes.batch_shape, shape, validate_args=validate_args)

    def sample(self, key: Any, sample_shape=()):
        return self.codebook[self.codes.sample(key, sample_shape)]

    def log_prob(self, value):
        return self.codes.log_prob(nearest_code(value, self.codebook))


class GumbelSoftmax(dist.Distribution):
    """One-hot vectors `[N, K]` from `logits` `[..., N, K]`, with a relaxation for training.

    `sample` is exact. `rsample` is the softmax of Gumbel-perturbed logits at `temperature` (Jang et al. 2016,
    arXiv:1611.01144, equation 2), rounded to one-hot in the forward pass where `straight_through`. `log_prob` is that
    of the categorical, linearly interpolated on relaxed values.
    """

    arg_constraints = {"logits": constraints.real_vector}  # noqa: RUF012 (NumPyro's way)
    support = constraints.independent(constraints.real, 2)  # pyright: ignore[reportAssignmentType]
    reparametrized_params = ["logits"]  # noqa: RUF012 (NumPyro's way)
    pytree_data_fields = ("logits",)
    pytree_aux_fields = ("temperature", "straight_through")

    def __init__(self, logits, temperature, straight_through=False, *, validate_args=None):
        self.logits, self.temperature, self.straight_through = logits, temperature, straight_through
        super().__init__(logits.shape[:-2], logits.shape[-2:], validate_args=validate_args)

    @property
    def log_probs(self):
        return jax.nn.log_softmax(self.logits)

    @property
    def mean(self):
        return jnp.exp(self.log_probs)

    @property
    def centre(self):
        return jax.nn.one_hot(jnp.argmax(self.logits, axis=-1), self.logits.shape[-1])

    def sample(self, key: Any, sample_shape=()):
        codes = jax.random.categorical(key, self.logits, shape=(*sample_shape, *self.logits.shape[:-1]))
        return jax.nn.one_hot(codes, self.logits.shape[-1])

    def rsample(self, key: Any, sample_shape=()):
        noise = jax.random.gumbel(key, (*sample_shape, *self.logits.shape))
        soft = jax.nn.softmax((self.logits + noise) / self.temperature)
        if not self.straight_through:
            return soft
        hard = jax.nn.one_hot(jnp.argmax(soft, axis=-1), self.logits.shape[-1])
        return hard + (soft - jax.lax.stop_gradient(soft))

    def log_prob(self, value):
        return jnp.sum(value * self.log_probs, axis=(-2, -1))


class Quantized(dist.Distribution):
    """Point mass on `values` `[..., N, D]`, rows `codes` `[..., N]` of a codebook; gradients pass to `inputs`.

    It is a mass function over codes, so log_prob is 0 at its only point, and an ELBO with a prior over codes is valid.
    """

    support = constraints.independent(constraints.real, 2)  # pyright: ignore[reportAssignmentType]
    arg_constraints = {"inputs": constraints.real}  # noqa: RUF012 (NumPyro's way)
    reparametrized_params = ["inputs"]  # noqa: RUF012 (NumPyro's way)
    pytree_data_fields = ("inputs", "values", "codes")

    def __init__(self, inputs, values, codes, *, validate_args=None):
        self.inputs, self.values, self.codes = inputs, values, codes
        super().__init__(values.shape[:-2], values.shape[-2:], validate_args=validate_args)

    @property
    def mean(self):
        return jax.lax.stop_gradient(self.values) + (self.inputs - jax.lax.stop_gradient(self.inputs))  # exactly values

    def sample(self, key: Any, sample_shape=()):
        del key
        return jnp.broadcast_to(self.mean, (*sample_shape, *self.values.shape))

    def log_prob(self, value):
        return jnp.zeros(value.shape[:-2])


class AutoregressiveCodes(dist.Distribution):
    """Codes `[N]`, code n given the codes before it: `net(params, codes [..., N]) -> logits [..., N, num_codes]`."""

    support = constraints.independent(constraints.nonnegative_integer, 1)  # pyright: ignore[reportAssignmentType]
    pytree_data_fields = ("params",)
    pytree_aux_fields = ("net", "length")

    def __init__(self, net, params, length, *, validate_args=None):
        self.net, self.params, self.length = net, params, length
        super().__init__((), (length,), validate_args=validate_args)

    def sample(self, key: Any, sample_shape=()):
        def draw_next(codes, step):
            n, key = step
            logits = jnp.take(self.net(self.params, codes), n, axis=-2)
            return codes.at[..., n].set(jax.random.categorical(key, logits)), None

        steps = jnp.arange(self.length), jax.random.split(key, self.length)
        return jax.lax.scan(draw_next, jnp.zeros((*sample_shape, self.length), jnp.int32), steps)[0]

    def log_prob(self, value):
        log_probs = jax.nn.log_softmax(self.net(self.params, value))
        return jnp.sum(jnp.take_along_axis(log_probs, value[..., None], axis=-1)[..., 0], axis=-1)
