"""Pure array losses for research code: arrays in, one number per example out.

Every function takes arrays whose first axis is the batch, sums over all other axes and returns
`[B]` values in **nats per example**. Nothing is averaged here: average over the batch once, last.
All of them work under `jit`, `vmap` (for K samples: `jax.vmap(loss, in_axes=(0, None))`) and `grad`,
and need no other part of the package.
"""

import chex
import jax
import jax.numpy as jnp
from jax import Array

LOG_2PI = 1.8378770664093453
ARTANH_SERIES = (2 / 13, 2 / 11, 2 / 9, 2 / 7, 2 / 5, 2 / 3, 2.0)  # of 2 artanh(s) / s in powers of s^2, highest first


@jax.custom_jvp
def softplus(x: Array) -> Array:
    """log(1 + exp(x)) elementwise, exact for any finite x, with the sigmoid as its derivative.

    Differentiating the stable form itself would cost a division and two selects per element, and XLA's log1p is made
    for any argument. Here its argument e is in (0, 1], where log1p(e) = 2 artanh(s) with s = e / (e + 2) <= 1/3: seven
    terms of the series are exact to float32, at a third of the time of the whole function.
    """
    e = jnp.exp(-jnp.abs(x))
    if x.dtype == jnp.float64:
        return jnp.maximum(x, 0.0) + jnp.log1p(e)
    s = e / (e + 2.0)
    square = s * s
    series = ARTANH_SERIES[0]
    for coefficient in ARTANH_SERIES[1:]:
        series = series * square + coefficient
    return jnp.maximum(x, 0.0) + s * series


@softplus.defjvp
def _softplus_jvp(primals, tangents):
    (x,), (x_dot,) = primals, tangents
    return softplus(x), jax.nn.sigmoid(x) * x_dot


def _sum_per_example(x: Array) -> Array:
    chex.assert_scalar_positive(x.ndim)  # a batch axis
    return jnp.sum(x, axis=tuple(range(1, x.ndim)))


def bernoulli_cross_entropy(logits: Array, x: Array) -> Array:
    """-log p(x | logits) of independent Bernoulli pixels, `softplus(logits) - x * logits` summed.

    Args:
      logits: `[B, ...]`, log-odds of each pixel; any finite value is safe.
      x: `[B, ...]` in [0, 1]. Grey values give the cross-entropy, which is no likelihood (Loaiza-Ganem &
        Cunningham 2019, arXiv:1907.06845) but what the classic tutorials minimise.

    Returns:
      `[B]` nats (Kingma & Welling 2013, arXiv:1312.6114, appendix C.1, with the sign turned).

    Raises:
      AssertionError: the shapes differ.
    """
    chex.assert_equal_shape([logits, x])
    return _sum_per_example(softplus(logits) - x * logits)


def gaussian_nll(mean: Array, x: Array, variance: float | Array = 1.0) -> Array:
    """-log N(x; mean, variance I), with its constant: a proper negative log-likelihood.

    Args:
      mean: `[B, ...]`.
      x: `[B, ...]`.
      variance: a positive scalar shared by all values.

    Returns:
      `[B]` nats (arXiv:1312.6114, appendix C.2, at fixed variance).

    Raises:
      AssertionError: the shapes differ or `variance` is no scalar.
    """
    chex.assert_equal_shape([mean, x])
    chex.assert_rank(variance, 0)
    return _sum_per_example(0.5 * (jnp.square(x - mean) / variance + jnp.log(variance) + LOG_2PI))


def squared_error(mean: Array, x: Array) -> Array:
    """Sum (x - mean)^2 per example `[B]`. Not a negative log-likelihood: it equals the one of variance 1/2
    up to the constant that a density needs, so no bound on log p(x) can be read from it.

    Raises:
      AssertionError: the shapes of `mean` and `x` (`[B, ...]`) differ.
    """
    chex.assert_equal_shape([mean, x])
    return _sum_per_example(jnp.square(x - mean))


def kl_standard_normal(mean: Array, logvar: Array) -> Array:
    """KL(N(mean, exp(logvar)) || N(0, I)) per example `[B]` in nats (arXiv:1312.6114, appendix B).

    Written with expm1: close to the prior the error is below the rounding of `logvar` itself.

    Raises:
      AssertionError: the shapes of `mean` and `logvar` (`[B, ...]`) differ.
    """
    chex.assert_equal_shape([mean, logvar])
    return _sum_per_example(0.5 * (jnp.square(mean) + jnp.expm1(logvar) - logvar))


def kl_diagonal_gaussians(mean_q: Array, logvar_q: Array, mean_p: Array, logvar_p: Array) -> Array:
    """KL(q || p) between two diagonal Gaussians, each `[B, ...]`; returns `[B]` nats.

    Raises:
      AssertionError: the four shapes differ.
    """
    chex.assert_equal_shape([mean_q, logvar_q, mean_p, logvar_p])
    log_ratio = logvar_q - logvar_p
    scaled = jnp.square(mean_q - mean_p) * jnp.exp(-logvar_p)
    return _sum_per_example(0.5 * (scaled + jnp.expm1(log_ratio) - log_ratio))


def elbo(log_likelihood: Array, kl: Array) -> Array:
    """The evidence lower bound E_q[log p(x|z)] - KL(q || p), in nats (arXiv:1312.6114, equation 3).

    Args:
      log_likelihood: `[B]`, or `[L, B]` for L samples of z per example, which are averaged.
      kl: `[B]`.

    Returns:
      `[B]`; maximise it, or minimise its negative.

    Raises:
      AssertionError: a shape is none of these.
    """
    return beta_elbo(log_likelihood, kl, 1.0)


def beta_elbo(log_likelihood: Array, kl: Array, beta: float | Array) -> Array:
    """`elbo` with the KL weighted by the scalar `beta` (Higgins et al. 2017, equation 4); `[B]` nats.

    Raises:
      AssertionError: `log_likelihood` is neither `[B]` nor `[L, B]`, or `kl` is not `[B]`.
    """
    chex.assert_rank([log_likelihood, kl], [{1, 2}, 1])
    chex.assert_axis_dimension(log_likelihood, -1, kl.shape[0])
    if log_likelihood.ndim == 2:
        log_likelihood = jnp.mean(log_likelihood, axis=0)
    return log_likelihood - beta * kl


def iwae_bound(log_weights: Array) -> Array:
    """The importance-weighted bound log 1/K sum_k w_k (Burda et al. 2015, arXiv:1509.00519, equation 8).

    Args:
      log_weights: `[K, B]`, log p(x|z_k) + log p(z_k) - log q(z_k|x) for K samples z_k from q(z|x).

    Returns:
      `[B]` nats; with K = 1 the one-sample ELBO, rising with K towards log p(x).

    Raises:
      AssertionError: `log_weights` is not of rank 2.
    """
    chex.assert_rank(log_weights, 2)
    return jax.nn.logsumexp(log_weights, axis=0) - jnp.log(log_weights.shape[0])
