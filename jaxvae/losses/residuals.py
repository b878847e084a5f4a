"""Reconstruction terms of the residual x - mean: Gaussian, Laplace, squared error, log-cosh."""

import math

import chex
import jax.numpy as jnp
from jax import Array

from jaxvae.losses.arrays import floats, sum_per_example, wide
from jaxvae.losses.elementary import LOG_2PI, softplus

MIN_VARIANCE = math.exp(-12.0)  # a deviation of 1/400, below one of 256 grey levels in [0, 1]


def _gaussian_log_prob(standardised: Array, log_variance: Array) -> Array:
    return -0.5 * (jnp.square(standardised) + log_variance + LOG_2PI)


def gaussian_log_prob(mean: Array, logvar: Array, x: Array) -> Array:
    """Log-density log N(x; mean, exp(logvar)), elementwise in nats."""
    mean, logvar, x = wide(mean, logvar, x)
    return _gaussian_log_prob((x - mean) * jnp.exp(-0.5 * logvar), logvar)


def log_normal_log_prob(mean: Array, logvar: Array, x: Array) -> Array:
    """Log-density of x whose logarithm is N(mean, exp(logvar)), elementwise in nats; -inf where x is not above 0."""
    mean, logvar, x = wide(mean, logvar, x)
    log_x = jnp.log(jnp.where(x > 0, x, 1.0))  # finite derivatives there too
    return jnp.where(x > 0, gaussian_log_prob(mean, logvar, log_x) - log_x, -jnp.inf)


def log_normal_nll(mean: Array, logvar: Array, x: Array) -> Array:
    """-log p(x) where log x is N(mean, diag(exp(logvar))): the Gaussian's plus the sum of log x, the Jacobian.

    Args:
      mean: `[B, ...]`, of log x.
      logvar: `[B, ...]`, the log-variance of log x.
      x: `[B, ...]`, above 0; infinite elsewhere.

    Returns:
      `[B]` nats (Nazabal et al. 2020, HI-VAE, arXiv:1807.03653, section 3.1).

    Raises:
      AssertionError: the shapes differ.
      ValueError: integers.
    """
    mean, logvar, x = floats(mean=mean, logvar=logvar, x=x)
    chex.assert_equal_shape([mean, logvar, x])
    return -sum_per_example(log_normal_log_prob(mean, logvar, x))


def gaussian_nll(mean: Array, x: Array, variance: float | Array = 1.0) -> Array:
    """-log N(x; mean, variance I), with its constant: a proper negative log-likelihood.

    Args:
      mean: `[B, ...]`.
      x: `[B, ...]`.
      variance: above 0; a scalar shared by all values, or `[B, ...]`, one for each. For the output of a network take
        `diagonal_gaussian_nll`, whose log-variance cannot become 0.

    Returns:
      `[B]` nats (arXiv:1312.6114, appendix C.2).

    Raises:
      AssertionError: the shapes differ.
      ValueError: integers.
    """
    mean, x, variance = floats(mean=mean, x=x, variance=variance)
    chex.assert_equal_shape([mean, x, variance] if variance.ndim else [mean, x])
    return -sum_per_example(_gaussian_log_prob((x - mean) / jnp.sqrt(variance), jnp.log(variance)))


def diagonal_gaussian_nll(mean: Array, logvar: Array, x: Array) -> Array:
    """-log N(x; mean, diag(exp(logvar))).

    Also -log q(z|x) of a diagonal Gaussian posterior at z, for importance weights.

    Args:
      mean: `[B, ...]`.
      logvar: `[B, ...]`, the log-variance of each value.
      x: `[B, ...]`.

    Returns:
      `[B]` nats (arXiv:1312.6114, appendix C.2).

    Raises:
      AssertionError: the shapes differ.
      ValueError: integers.
    """
    mean, logvar, x = floats(mean=mean, logvar=logvar, x=x)
    chex.assert_equal_shape([mean, logvar, x])
    return -sum_per_example(gaussian_log_prob(mean, logvar, x))


def optimal_gaussian_log_prob(mean: Array, x: Array, min_variance: float = MIN_VARIANCE) -> Array:
    """Gaussian log-likelihood of `[..., D]` values at the best shared variance of each row; `[...]` nats."""
    error = jnp.mean(jnp.square(x - mean), axis=-1)
    variance = jnp.maximum(error, min_variance)
    return -0.5 * jnp.shape(mean)[-1] * (LOG_2PI + jnp.log(variance) + error / variance)


def optimal_gaussian_nll(mean: Array, x: Array, min_variance: float = MIN_VARIANCE) -> Array:
    """Gaussian NLL of D values at the variance that is best for them, D/2 (log(2 pi MSE) + 1).

    Not a likelihood: the variance is a function of x, so no bound on log p(x) follows.

    Args:
      mean: `[B, ...]`.
      x: `[B, ...]`.
      min_variance: lower limit of the variance; without it a perfect fit would be worth infinitely much.

    Returns:
      `[B]` nats (optimal sigma-VAE, Rybkin et al. 2021, arXiv:2006.13202, section 3.2; here for each example).

    Raises:
      AssertionError: the shapes differ.
      ValueError: integers.
    """
    mean, x = floats(mean=mean, x=x)
    chex.assert_equal_shape([mean, x])
    return -optimal_gaussian_log_prob(mean.reshape(len(mean), -1), x.reshape(len(x), -1), min_variance)


def laplace_log_prob(mean: Array, scale: float | Array, x: Array) -> Array:
    """Log-density log Laplace(x; mean, scale), elementwise in nats."""
    mean, scale, x = wide(mean, scale, x)
    return -jnp.abs(x - mean) / scale - jnp.log(2 * scale)


def laplace_nll(mean: Array, x: Array, scale: float | Array = 1.0) -> Array:
    """-log Laplace(x; mean, scale), sum |x - mean| / scale + log(2 scale).

    Args:
      mean: `[B, ...]`.
      x: `[B, ...]`.
      scale: above 0; a scalar shared by all values, or `[B, ...]`, one for each.

    Returns:
      `[B]` nats; the absolute error up to scale and constant.

    Raises:
      AssertionError: the shapes differ.
      ValueError: integers.
    """
    mean, x, scale = floats(mean=mean, x=x, scale=scale)
    chex.assert_equal_shape([mean, x, scale] if scale.ndim else [mean, x])
    return -sum_per_example(laplace_log_prob(mean, scale, x))


def squared_error(mean: Array, x: Array) -> Array:
    """Sum (x - mean)^2 per example `[B]`.

    Not a negative log-likelihood: it equals the one of variance 1/2 up to the constant that a density needs, so no
    bound on log p(x) can be read from it.

    Raises:
      AssertionError: the shapes of `mean` and `x` (`[B, ...]`) differ.
      ValueError: integers.
    """
    mean, x = floats(mean=mean, x=x)
    chex.assert_equal_shape([mean, x])
    return sum_per_example(jnp.square(x - mean))


def scaled_log_cosh(residual: Array, a: float | Array) -> Array:
    """(1 / a) log cosh(a residual), elementwise."""
    scaled = a * residual
    return (softplus(2 * scaled) - scaled - math.log(2)) / a


def log_cosh(mean: Array, x: Array, a: float = 10.0) -> Array:
    """Sum (1 / a) log cosh(a (x - mean)) per example `[B]`: squared for errors far below 1/a, absolute above it.

    Not a negative log-likelihood: the constant that a density needs is left out. Each value has an error of about
    1e-7 / a (Chen et al. 2019, "Log hyperbolic cosine loss improves variational auto-encoder", equation 9).

    Args:
      mean: `[B, ...]`.
      x: `[B, ...]`.
      a: above 0, the inverse of the error at which the loss turns from squared to absolute.

    Raises:
      AssertionError: the shapes differ.
      ValueError: integers.
    """
    mean, x = floats(mean=mean, x=x)
    chex.assert_equal_shape([mean, x])
    return sum_per_example(scaled_log_cosh(x - mean, a))
