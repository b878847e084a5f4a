"""Likelihoods of values in [0, 1]: Bernoulli and continuous Bernoulli."""

import chex
import jax.numpy as jnp
from jax import Array

from jaxvae.losses.arrays import floats, sum_per_example, wide
from jaxvae.losses.elementary import softplus


def bernoulli_log_prob(logits: Array, x: Array) -> Array:
    """Log-likelihood log p(x | logits) of a Bernoulli variable, x * logits - softplus(logits), elementwise in nats."""
    logits, x = wide(logits, x)
    return x * logits - softplus(logits)


def bernoulli_cross_entropy(logits: Array, x: Array) -> Array:
    """-log p(x | logits) of independent Bernoulli pixels, `softplus(logits) - x * logits` summed.

    Args:
      logits: `[B, ...]`, log-odds of each pixel; any finite value is safe.
      x: `[B, ...]`, floats in [0, 1] or booleans. Grey values give the cross-entropy, which is not a likelihood
        (Loaiza-Ganem & Cunningham 2019, arXiv:1907.06845) but is what the classic tutorials minimise.

    Returns:
      `[B]` nats (Kingma & Welling 2013, arXiv:1312.6114, appendix C.1, with the sign turned).

    Raises:
      AssertionError: the shapes differ.
      ValueError: integers.
    """
    logits, x = floats(logits=logits, x=x)
    chex.assert_equal_shape([logits, x])
    return -sum_per_example(bernoulli_log_prob(logits, x))


def log_normalizer(logits: Array) -> Array:
    """A(l) = log((e^l - 1) / l), elementwise; its Taylor series where the closed form is 0 / 0 (arXiv:1907.06845)."""
    small = jnp.abs(logits) < 0.5
    size = jnp.where(small, 1.0, jnp.abs(logits))  # keeps the derivative of the branch not taken finite
    closed = jnp.log(-jnp.expm1(-size)) - jnp.log(size) + jnp.maximum(logits, 0.0)
    square = jnp.square(jnp.where(small, logits, 0.0))
    series = 0.5 * logits + square * (1 / 24 + square * (-1 / 2880 + square / 181440))
    return jnp.where(small, series, closed)


def continuous_bernoulli_log_prob(logits: Array, x: Array) -> Array:
    """Log-density log p(x | logits) of the continuous Bernoulli, x * logits - A(logits), elementwise in nats."""
    logits, x = wide(logits, x)
    return logits * x - log_normalizer(logits)


def continuous_bernoulli_nll(logits: Array, x: Array) -> Array:
    """-log p(x | logits) of the density proportional to exp(logits * x) on [0, 1].

    The density that the cross-entropy of grey pixels lacks: log p = x * logits - A(logits), with
    A(l) = log((e^l - 1) / l).

    Args:
      logits: `[B, ...]`, any finite value is safe.
      x: `[B, ...]` in [0, 1].

    Returns:
      `[B]` nats; can be negative, as that of any density (arXiv:1907.06845, equations 4 to 6).

    Raises:
      AssertionError: the shapes differ.
      ValueError: integers.
    """
    logits, x = floats(logits=logits, x=x)
    chex.assert_equal_shape([logits, x])
    return -sum_per_example(continuous_bernoulli_log_prob(logits, x))
