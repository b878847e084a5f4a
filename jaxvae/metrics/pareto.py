"""Pareto k-hat: whether an importance-weighted estimate has enough draws."""

import math

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array

LEAST = 21  # draws, so that the tail has at least 5 weights
ROUNDING = 1e-4  # weights that differ by less, relative to the largest one, are equal up to rounding


def tail_size(num_samples: int) -> int:
    """Return M, the number of weights in the tail of K: min(K / 5, 3 sqrt(K)) (arXiv:1507.02646, section 3)."""
    return math.ceil(min(num_samples / 5, 3 * math.sqrt(num_samples)))


def threshold(num_samples: int) -> float:
    """Return the largest k-hat at which an estimate from K draws is reliable: min(1 - 1 / log10(K), 0.7).

    Reference: Vehtari, Simpson, Gelman, Yao and Gabry 2024, arXiv:1507.02646, version 9, section 3.2.4.

    Raises:
      UserError: `num_samples` is below LEAST.
    """
    _check(num_samples)
    return min(1 - 1 / math.log10(num_samples), 0.7)


def needed_samples(k: float) -> float:
    """Return the number of draws from which an estimate with this k is reliable: 10^(1 / (1 - k)); inf for k >= 0.7.

    It inverts `threshold`. At k = 0.7 these are 2,200 draws, and beyond it more draws help too slowly to be of use.
    """
    return math.inf if k >= 0.7 else max(10 ** (1 / (1 - max(k, 0.0))), LEAST)


def pareto_k(log_weights: Array) -> Array:
    """Estimate the shape k of the tail of importance weights, from K draws (Vehtari et al., arXiv:1507.02646).

    The largest weights follow a generalised Pareto distribution, whose moments exist up to the order 1 / k: the
    variance of the weights is finite below k = 1/2. The fit is that of Zhang & Stephens (2009), with the weak prior of
    the paper, which adds 10 weights of k = 1/2.

    Args:
      log_weights: `[K, ...]` nats, up to a constant; -inf for a weight of 0.

    Returns:
      `[...]`; 0 where all weights are equal up to rounding, since such an estimate is exact.

    Raises:
      UserError: K is below LEAST.
    """
    num = len(log_weights)
    _check(num)
    size = tail_size(num)
    top = jax.lax.top_k(jnp.moveaxis(log_weights, 0, -1), size + 1)[0]
    weights = jnp.exp(top - top[..., :1])  # the largest one is 1
    exceedances = jnp.flip(weights[..., :-1] - weights[..., -1:], axis=-1)
    k = generalized_pareto(exceedances)
    regular = (size * k + 10 * 0.5) / (size + 10)
    return jnp.where(exceedances[..., -1] > ROUNDING, regular, 0.0)


def generalized_pareto(x: Array) -> Array:
    """Estimate the shape k of a generalised Pareto distribution, positive for heavy tails.

    It is the mean over a posterior of the scale, on a grid (Zhang & Stephens 2009, "A new and efficient estimation
    method for the generalized Pareto distribution", Technometrics 51, 316-325).

    Args:
      x: `[..., M]` draws in ascending order, at least 0.

    Returns:
      `[...]`.
    """
    num, tiny = x.shape[-1], jnp.finfo(x.dtype).tiny
    x = x / jnp.maximum(x[..., -1:], tiny)
    quartile = jnp.maximum(x[..., int(num / 4 + 0.5) - 1], 1e-12)[..., None]
    count = 30 + int(math.sqrt(num))
    b = 1.0 + (1 - jnp.sqrt(count / (jnp.arange(count) + 0.5))) / (3 * quartile)  # -k / scale
    shape = jnp.mean(jnp.log1p(-b[..., None] * x[..., None, :]), axis=-1)
    log_profile = num * (jnp.log(-b / shape) - shape - 1)
    mean = jnp.sum(jax.nn.softmax(jnp.nan_to_num(log_profile, nan=-jnp.inf), axis=-1) * b, axis=-1)
    return jnp.mean(jnp.log1p(-mean[..., None] * x), axis=-1)


def _check(num_samples: int) -> None:
    if num_samples < LEAST:
        raise UserError(f"The Pareto k of the weights needs at least {LEAST} draws; there are {num_samples}.")
