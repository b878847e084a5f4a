"""KL divergences in closed form, in nats."""

import chex
import jax
import jax.numpy as jnp
from jax import Array

from jaxvae.losses import sphere
from jaxvae.losses.arrays import floats, sum_per_example


def gaussian_kl(shift: Array, log_ratio: Array) -> Array:
    """KL(N(m, s^2) || N(n, t^2)) elementwise in nats, from shift = (m - n) / t and log_ratio = log(s / t).

    Written with expm1: where both are nearly equal, the error is below the rounding of `log_ratio` itself. The
    derivative is finite at any scale that float32 holds; a squared scale would underflow.
    """
    return 0.5 * (jnp.square(shift) + jnp.expm1(2 * log_ratio)) - log_ratio


def kl_standard_normal(mean: Array, logvar: Array) -> Array:
    """KL(N(mean, exp(logvar)) || N(0, I)) per example `[B]` in nats (arXiv:1312.6114, appendix B).

    Raises:
      AssertionError: the shapes of `mean` and `logvar` (`[B, ...]`) differ.
      ValueError: integers.
    """
    mean, logvar = floats(mean=mean, logvar=logvar)
    chex.assert_equal_shape([mean, logvar])
    return sum_per_example(gaussian_kl(mean, 0.5 * logvar))


def kl_diagonal_gaussians(mean_q: Array, logvar_q: Array, mean_p: Array, logvar_p: Array) -> Array:
    """KL(q || p) between two diagonal Gaussians, each `[B, ...]`; returns `[B]` nats (arXiv:1312.6114, appendix B).

    Raises:
      AssertionError: the four shapes differ.
      ValueError: integers.
    """
    mean_q, logvar_q, mean_p, logvar_p = floats(mean_q=mean_q, logvar_q=logvar_q, mean_p=mean_p, logvar_p=logvar_p)
    chex.assert_equal_shape([mean_q, logvar_q, mean_p, logvar_p])
    shift = (mean_q - mean_p) * jnp.exp(-0.5 * logvar_p)
    return sum_per_example(gaussian_kl(shift, 0.5 * (logvar_q - logvar_p)))


def kl_full_covariance(mean: Array, scale_tril: Array) -> Array:
    """KL(N(mean, L L') || N(0, I)), (|mean|^2 + |L|^2 - D) / 2 - sum log L_dd.

    Args:
      mean: `[B, D]`.
      scale_tril: `[B, D, D]`, L, lower triangular with a positive diagonal; entries above it are ignored.

    Returns:
      `[B]` nats (Kingma & Welling 2019, arXiv:1906.02691, section 2.5.1).

    Raises:
      AssertionError: the shapes do not fit.
      ValueError: integers.
    """
    mean, scale_tril = floats(mean=mean, scale_tril=scale_tril)
    chex.assert_rank(mean, 2)
    chex.assert_shape(scale_tril, (*mean.shape, mean.shape[-1]))
    log_diagonal = jnp.log(jnp.diagonal(scale_tril, axis1=-2, axis2=-1))
    # trace - d - log det, the diagonal by expm1 as above
    spread = jnp.sum(jnp.expm1(2 * log_diagonal) - 2 * log_diagonal, axis=-1)
    spread = spread + jnp.sum(jnp.square(jnp.tril(scale_tril, -1)), axis=(-2, -1))
    return 0.5 * (spread + jnp.sum(jnp.square(mean), axis=-1))


def categorical_kl(logits_q: Array, logits_p: Array) -> Array:
    """KL(q || p) of categorical variables over the last axis: `[..., K]` each, `[...]` nats."""
    log_q, log_p = jax.nn.log_softmax(logits_q), jax.nn.log_softmax(logits_p)
    return jnp.sum(jnp.exp(log_q) * (log_q - log_p), axis=-1)


def kl_categorical(logits_q: Array, logits_p: Array) -> Array:
    """KL(q || p) of independent categorical variables.

    Args:
      logits_q: `[B, ..., K]`, for K categories; finite.
      logits_p: `[B, ..., K]`; finite.

    Returns:
      `[B]` nats.

    Raises:
      AssertionError: the shapes differ.
      ValueError: integers.
    """
    logits_q, logits_p = floats(logits_q=logits_q, logits_p=logits_p)
    chex.assert_equal_shape([logits_q, logits_p])
    return sum_per_example(categorical_kl(logits_q, logits_p))


def kl_categorical_uniform(logits: Array) -> Array:
    """KL of independent categorical variables to uniform ones, log K - H(q) each.

    The KL that Gumbel-softmax models take, at the unrelaxed probabilities.

    Args:
      logits: `[B, ..., K]`, finite.

    Returns:
      `[B]` nats, from 0 to log K for each variable (Jang et al. 2016, arXiv:1611.01144, appendix).

    Raises:
      ValueError: integers.
    """
    (logits,) = floats(logits=logits)
    return sum_per_example(categorical_kl(logits, jnp.zeros_like(logits)))


def kl_vmf_uniform(concentration: Array, dim: int) -> Array:
    """KL of von Mises-Fisher distributions to the uniform one on the unit sphere of R^dim.

    kappa A(kappa) + log C(kappa) + log area, by quadrature instead of Bessel functions; the mean direction cancels.

    Args:
      concentration: `[B, ...]`, kappa > 0 of each sphere; 1e-3 to 1e4 is tested.
      dim: 2 or more; 2 to 64 is tested.

    Returns:
      `[B]` nats (Davidson et al. 2018, arXiv:1804.00891, equation 13).

    Raises:
      ValueError: integers, or `dim` below 2.
    """
    (concentration,) = floats(concentration=concentration)
    if dim < 2:
        raise ValueError(f"`dim` is {dim}; a sphere needs at least 2 (in R^2 it is the circle).")
    return sum_per_example(sphere.log_area(dim) - sphere.vmf_entropy(concentration, dim))
