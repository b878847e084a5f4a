"""Likelihoods of values on discrete levels: categorical, discretised logistic and its mixture."""

import chex
import jax
import jax.numpy as jnp
from jax import Array

from jaxvae.losses.arrays import floats, indices, sum_per_example, wide
from jaxvae.losses.elementary import softplus


def categorical_log_prob(logits: Array, index: Array) -> Array:
    """Log-mass log softmax(logits) at `index`: logits `[..., K]` and index `[...]` to `[...]` nats."""
    (logits,) = wide(logits)
    # A comparison and a sum are fused by XLA, and so is their derivative; a gather's would be a scatter.
    chosen = index[..., None] == jnp.arange(logits.shape[-1])
    return jnp.sum(jnp.where(chosen, logits, 0.0), axis=-1) - jax.nn.logsumexp(logits, axis=-1)


def categorical_nll(logits: Array, index: Array) -> Array:
    """-log softmax(logits) at `index`, the cross-entropy of tokens, classes or levels.

    Args:
      logits: `[B, ..., K]`.
      index: `[B, ...]`, integers from 0 to K - 1; any other gives NaN, also under jit.

    Returns:
      `[B]` nats.

    Raises:
      AssertionError: `index` is not of the shape of `logits` without its last axis.
      ValueError: logits that are integers, an index that is not.
    """
    (logits,), index = floats(logits=logits), indices("index", index)
    chex.assert_shape(index, logits.shape[:-1])
    is_known = (index >= 0) & (index < logits.shape[-1])
    return -sum_per_example(jnp.where(is_known, categorical_log_prob(logits, index), jnp.nan))


def discretized_logistic_log_prob(
    loc: Array, scale: Array, x: Array, levels: int = 256, low: float = 0.0, high: float = 1.0
) -> Array:
    """Log mass of a logistic distribution in the bin of each level, elementwise in nats."""
    # For edges a > b of a bin, sigmoid(a) - sigmoid(b) = (1 - e^(b - a)) sigmoid(a) sigmoid(-b): no difference of
    # nearly equal numbers is left, so neither tiny scales nor far values need a branch.
    loc, scale, x = wide(loc, scale, x)
    step = (high - low) / (levels - 1)
    half = 0.5 * step
    first, last = x < low + half, x > high - half
    above = softplus((loc - x - half) / scale)  # -log sigmoid(a)
    below = softplus((x - half - loc) / scale)  # -log sigmoid(-b)
    width = jnp.log(-jnp.expm1(-step / scale))
    return jnp.where(first | last, 0.0, width) - jnp.where(last, 0.0, above) - jnp.where(first, 0.0, below)


def discretized_logistic_nll(
    loc: Array, scale: Array, x: Array, levels: int = 256, low: float = 0.0, high: float = 1.0
) -> Array:
    """-log mass of a logistic distribution in the bin of each level; the bins at the two edges are open.

    Args:
      loc: `[B, ...]`, in units of the data.
      scale: `[B, ...]`, above 0, in units of the data.
      x: `[B, ...]`, each the middle of a bin, low + i (high - low) / (levels - 1).
      levels: number of bins.
      low: the least level.
      high: the greatest level.

    Returns:
      `[B]` nats; divided by log(2) and the number of values, bits per dimension (Salimans et al. 2017,
      arXiv:1701.05517, equation 2, with one component).

    Raises:
      AssertionError: the shapes differ.
      ValueError: integers.
    """
    loc, scale, x = floats(loc=loc, scale=scale, x=x)
    chex.assert_equal_shape([loc, scale, x])
    return -sum_per_example(discretized_logistic_log_prob(loc, scale, x, levels, low, high))


def discretized_logistic_mixture_log_prob(
    logits: Array, loc: Array, scale: Array, x: Array, levels: int = 256, low: float = 0.0, high: float = 1.0
) -> Array:
    """Log mass of a mixture of discretised logistics: parameters `[..., components]`, x `[...]`; `[...]` nats."""
    (logits,) = wide(logits)
    log_probs = discretized_logistic_log_prob(loc, scale, jnp.expand_dims(x, -1), levels, low, high)
    return jax.nn.logsumexp(jax.nn.log_softmax(logits) + log_probs, axis=-1)


def discretized_logistic_mixture_nll(
    logits: Array, loc: Array, scale: Array, x: Array, levels: int = 256, low: float = 0.0, high: float = 1.0
) -> Array:
    """-log mass of a mixture of discretised logistics in the bin of each level.

    Channels are independent given the parameters, unlike in the paper.

    Args:
      logits: `[B, ..., components]`, unnormalised log-weights.
      loc: `[B, ..., components]`, in units of the data.
      scale: `[B, ..., components]`, above 0.
      x: `[B, ...]`, each the middle of a bin, low + i (high - low) / (levels - 1).
      levels: number of bins.
      low: the least level.
      high: the greatest level.

    Returns:
      `[B]` nats (arXiv:1701.05517, equation 2).

    Raises:
      AssertionError: the parameters differ in shape, or `x` is not of their shape without the last axis.
      ValueError: integers.
    """
    logits, loc, scale, x = floats(logits=logits, loc=loc, scale=scale, x=x)
    chex.assert_equal_shape([logits, loc, scale])
    chex.assert_shape(x, loc.shape[:-1])
    return -sum_per_example(discretized_logistic_mixture_log_prob(logits, loc, scale, x, levels, low, high))
