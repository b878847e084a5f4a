"""Lower bounds on log p(x): the ELBO and importance-weighted bounds."""

import chex
import jax
import jax.numpy as jnp
from jax import Array

from jaxvae.losses.arrays import floats


def elbo(log_likelihood: Array, kl: Array) -> Array:
    """Evidence lower bound E_q[log p(x|z)] - KL(q || p), in nats (arXiv:1312.6114, equation 3).

    Args:
      log_likelihood: `[B]`, or `[L, B]` for L samples of z per example, which are averaged.
      kl: `[B]`.

    Returns:
      `[B]`; maximise it, or minimise its negative.

    Raises:
      AssertionError: a shape is none of these.
      ValueError: integers.
    """
    return beta_elbo(log_likelihood, kl, 1.0)


def beta_elbo(log_likelihood: Array, kl: Array, beta: float | Array) -> Array:
    """`elbo` with the KL weighted by the scalar `beta` (Higgins et al. 2017, equation 4); `[B]` nats.

    Raises:
      AssertionError: `log_likelihood` is neither `[B]` nor `[L, B]`, or `kl` is not `[B]`.
      ValueError: integers.
    """
    log_likelihood, kl = floats(log_likelihood=log_likelihood, kl=kl)
    chex.assert_rank([log_likelihood, kl], [{1, 2}, 1])
    chex.assert_axis_dimension(log_likelihood, -1, kl.shape[0])
    if log_likelihood.ndim == 2:
        log_likelihood = jnp.mean(log_likelihood, axis=0)
    return log_likelihood - beta * kl


def iwae_bound(log_weights: Array) -> Array:
    """Importance-weighted bound log 1/K sum_k w_k (Burda et al. 2015, arXiv:1509.00519, equation 8).

    Args:
      log_weights: `[K, B]`, log p(x|z_k) + log p(z_k) - log q(z_k|x) for K samples z_k from q(z|x).

    Returns:
      `[B]` nats; with K = 1 the one-sample ELBO, rising with K towards log p(x).

    Raises:
      AssertionError: `log_weights` is not of rank 2.
      ValueError: integers.
    """
    (log_weights,) = floats(log_weights=log_weights)
    chex.assert_rank(log_weights, 2)
    return jax.nn.logsumexp(log_weights, axis=0) - jnp.log(log_weights.shape[0])


def miwae_bound(log_weights: Array) -> Array:
    """Mean of M importance-weighted bounds of K samples each (Rainforth et al. 2018, arXiv:1802.04537, "MIWAE").

    Args:
      log_weights: `[M, K, B]`, as in `iwae_bound`.

    Returns:
      `[B]` nats; with M = 1 the IWAE bound, with K = 1 the ELBO.

    Raises:
      AssertionError: `log_weights` is not of rank 3.
      ValueError: integers.
    """
    (log_weights,) = floats(log_weights=log_weights)
    chex.assert_rank(log_weights, 3)
    return jnp.mean(jax.vmap(iwae_bound)(log_weights), axis=0)


def ciwae_bound(log_weights: Array, mix: float | Array) -> Array:
    """`mix` ELBO + (1 - `mix`) IWAE bound, "combination IWAE" (Rainforth et al. 2018, arXiv:1802.04537).

    Args:
      log_weights: `[K, B]`, as in `iwae_bound`.
      mix: from 0 (IWAE) to 1 (ELBO).

    Returns:
      `[B]` nats.

    Raises:
      AssertionError: `log_weights` is not of rank 2.
      ValueError: integers.
    """
    (log_weights,) = floats(log_weights=log_weights)
    chex.assert_rank(log_weights, 2)
    return mix * jnp.mean(log_weights, axis=0) + (1 - mix) * iwae_bound(log_weights)
