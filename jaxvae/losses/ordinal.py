"""Likelihood of ordered categories: the cumulative logit model."""

import chex
import jax.numpy as jnp
from jax import Array

from jaxvae.losses.arrays import floats, indices, sum_per_example, wide
from jaxvae.losses.elementary import softplus


def ordinal_log_probs(location: Array, thresholds: Array) -> Array:
    """Log-masses `[..., K]` of all K ordered categories; see `ordinal_log_prob`."""
    location, thresholds = wide(location, thresholds)
    # For a > b: sigmoid(a) - sigmoid(b) = (1 - e^(b - a)) sigmoid(a) sigmoid(-b), without a difference of near numbers.
    below = softplus(location[..., None] - thresholds)  # -log P(category <= k)
    above = softplus(thresholds - location[..., None])  # -log P(category > k)
    width = jnp.log(-jnp.expm1(thresholds[..., :-1] - thresholds[..., 1:]))
    inner = width - below[..., 1:] - above[..., :-1]
    return jnp.concatenate([-below[..., :1], inner, -above[..., -1:]], axis=-1)


def ordinal_log_prob(location: Array, thresholds: Array, index: Array) -> Array:
    """Log-mass log(sigmoid(t_k - h) - sigmoid(t_(k-1) - h)) of the ordered category k at a location h.

    Location and index are `[...]`, the K - 1 increasing thresholds t `[..., K - 1]`, with t_-1 = -inf and
    t_(K-1) = inf; the result is `[...]` nats (McCullagh 1980, "Regression models for ordinal data").
    """
    log_probs = ordinal_log_probs(location, thresholds)
    chosen = index[..., None] == jnp.arange(log_probs.shape[-1])
    return jnp.sum(jnp.where(chosen, log_probs, 0.0), axis=-1)


def ordinal_nll(location: Array, thresholds: Array, index: Array) -> Array:
    """-log P(index) of ordered categories 0 to K - 1, the cumulative logit.

    P(category <= k) = sigmoid(t_k - location): the thresholds t divide the line, and a location far to the right makes
    high categories likely.

    Args:
      location: `[B, ...]`.
      thresholds: `[K - 1]` or `[B, ..., K - 1]`, increasing on the last axis.
      index: `[B, ...]`, integers from 0 to K - 1; any other gives NaN, also under jit.

    Returns:
      `[B]` nats (Nazabal et al. 2020, HI-VAE, arXiv:1807.03653, section 3.1).

    Raises:
      AssertionError: `index` is not of the shape of `location`.
      ValueError: parameters that are integers, an index that is not.
    """
    (location, thresholds), index = floats(location=location, thresholds=thresholds), indices("index", index)
    chex.assert_equal_shape([location, index])
    is_known = (index >= 0) & (index <= thresholds.shape[-1])
    return -sum_per_example(jnp.where(is_known, ordinal_log_prob(location, thresholds, index), jnp.nan))
