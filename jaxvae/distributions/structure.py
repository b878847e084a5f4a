"""Structure of distributions: independent factors, moments, log-probabilities of single values."""

from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array
from jaxvae.distributions.pixels import Shaped


def unwrap(distribution: Any) -> Any:
    """Undo `to_event`: return the distribution of single variables, or the distribution itself."""
    return distribution.base_dist if isinstance(distribution, dist.Independent) else distribution


def factors(distribution: Any) -> Any:
    """Return the distributions of single dimensions of a product over dimensions, else None."""
    base = unwrap(distribution)
    return base if base is not distribution and not base.event_shape else None


def normal_factors(distribution: Any) -> dist.Normal | None:
    """Return the normal distributions of single dimensions of a diagonal Gaussian, else None."""
    base = unwrap(distribution)
    return base if isinstance(base, dist.Normal) else None


def moments(distribution: Any) -> tuple[Array, Array] | None:
    """Mean `[..., D]` and covariance `[..., D, D]` of a Gaussian; None for other distributions."""
    base = unwrap(distribution)
    if isinstance(base, dist.Normal):
        scale: Any = base.scale
        factor: Any = jnp.asarray(scale)[..., None] * jnp.eye(scale.shape[-1])
    elif isinstance(base, dist.MultivariateNormal):
        factor = base.scale_tril
    else:
        return None
    loc: Any = base.loc
    return loc, jnp.matmul(factor, jnp.swapaxes(factor, -2, -1), precision="highest")


def value_log_probs(likelihood: Any, x: Array) -> Array:
    """Compute log p(x_d|z) of each value, `[..., *data_shape]` nats, under a distribution of batch shape `[...]`.

    Raises:
      UserError: the distribution is not a product over values.
    """
    if isinstance(likelihood, Shaped) and not likelihood.values.event_shape:
        flat = x.reshape(*x.shape[: x.ndim - likelihood.event_dim], -1)
        log_probs: Any = likelihood.values.log_prob(flat)
        return log_probs.reshape(*log_probs.shape[:-1], *likelihood.event_shape)
    if factors(likelihood) is not None:
        return unwrap(likelihood).log_prob(x)
    raise UserError(
        "Missing values need a likelihood that is a product over values, so that the observed ones have a likelihood "
        "alone; this one does not factorise. Train with 'bernoulli' or 'gaussian', for example."
    )


def averaged(likelihood: Any, weights: Array) -> Array:
    """Average p(x|z) of batch shape `[K, B]` over z by weights `[K, B]`: statistics `[B, S]` for `point_estimate`."""
    found = likelihood.values.statistics if _has_statistics(likelihood) else likelihood.mean
    return jnp.einsum("kb,kbn->bn", weights, found.reshape(*weights.shape, -1))


def point_estimate(likelihood: Any, statistics: Array) -> Array:
    """Return a point estimate of x `[B, *data_shape]` from `averaged` statistics: means, or likeliest categories."""
    found = likelihood.values.estimate(statistics) if _has_statistics(likelihood) else statistics
    return found.reshape(len(statistics), *likelihood.event_shape)


def _has_statistics(likelihood: Any) -> bool:
    return isinstance(likelihood, Shaped) and hasattr(likelihood.values, "statistics")


def observed_log_prob(likelihood: Any, x: Array, mask: Array | None = None) -> Array:
    """Compute log p(x|z) `[...]` nats; with a `mask` (True: observed) of x's shape, of the observed values alone.

    Missing values of x may be anything, NaN too.

    Raises:
      UserError: a mask with a likelihood that is not a product over values.
    """
    if mask is None:
        return likelihood.log_prob(x)
    by_value = jnp.where(mask, value_log_probs(likelihood, jnp.where(mask, x, 0.0)), 0.0)
    return jnp.sum(by_value, axis=tuple(range(by_value.ndim - likelihood.event_dim, by_value.ndim)))
