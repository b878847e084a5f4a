"""Terms of the aggregated posterior q(z), the mixture of all q(z|x): parts of the KL, covariance."""

import math
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import Array

from jaxvae.losses.arrays import floats

ESTIMATORS = ("stratified", "weighted")


def log_aggregate(pairs: Array, train_size: int, estimator: str = "stratified") -> Array:
    """Log of q(z_i) = 1/N sum_n q(z_i|x_n), estimated from a batch of B of the N training examples.

    Args:
      pairs: `[B, B, ...]`, log q(z_i|x_j) in nats, z_i drawn from q(z|x_i). For a diagonal Gaussian by dimension,
        `[B, B, D]`: `gaussian_log_prob(mean[None], logvar[None], z[:, None])`.
      train_size: N.
      estimator: "weighted", 1/(N B) sum_j q(z_i|x_j), biased (Chen et al. 2018, arXiv:1802.04942, appendix C.1); or
        "stratified": weight 1/N for x_i, the others represent the rest, unbiased (appendix C.2). The paper gives
        one of the others a separate weight; here they share (N - 1)/N equally, which has the same mean and less
        variance, and is exact where the batch is the whole data set.

    Returns:
      `[B, ...]` nats.

    Raises:
      AssertionError: the first two axes differ.
      ValueError: an unknown estimator, "stratified" with a batch of 1, integers.
    """
    (pairs,) = floats(pairs=pairs)
    batch = pairs.shape[0]
    chex.assert_axis_dimension(pairs, 1, batch)
    if estimator == "weighted":
        return jax.nn.logsumexp(pairs, axis=1) - math.log(train_size) - math.log(batch)
    if estimator != "stratified":
        raise ValueError(f"Unknown estimator '{estimator}'; known: {', '.join(ESTIMATORS)}.")
    if batch < 2:
        raise ValueError("The stratified estimate of q(z) needs a batch of at least 2 examples.")
    weights = jnp.where(jnp.eye(batch, dtype=bool), 1.0, (train_size - 1) / (batch - 1)) / train_size
    return jax.nn.logsumexp(pairs, axis=1, b=weights.reshape(batch, batch, *(1,) * (pairs.ndim - 2)))


class KLParts(NamedTuple):
    """Three parts of KL(q(z|x) || p(z)), each `[B]` nats; their sum is log q(z|x) - log p(z)."""

    mutual_information: Array
    total_correlation: Array
    dimension_wise_kl: Array


def kl_parts(
    log_posterior: Array, pairs: Array, log_prior: Array, train_size: int, estimator: str = "stratified"
) -> KLParts:
    """Mutual information, total correlation and dimension-wise KL, from one z per example.

    With weights alpha, beta and gamma, the penalty of beta-TCVAE (Chen et al. 2018, arXiv:1802.04942, equation 4).

    Args:
      log_posterior: `[B]`, log q(z_i|x_i), the sum over D of the diagonal of `pairs`.
      pairs: `[B, B, D]`, log q(z_id|x_j) by dimension, for posteriors that are products over dimensions.
      log_prior: `[B]`, log p(z_i).
      train_size: N, the number of training examples.
      estimator: of q(z) from the batch, see `log_aggregate`.

    Returns:
      KL(q(z, n) || q(z) p(n)), KL(q(z) || prod_d q(z_d)) and sum_d KL(q(z_d) || p(z_d)).

    Raises:
      AssertionError: the shapes do not fit.
      ValueError: an unknown estimator, "stratified" with a batch of 1, integers.
    """
    log_posterior, pairs, log_prior = floats(log_posterior=log_posterior, pairs=pairs, log_prior=log_prior)
    chex.assert_rank([log_posterior, pairs, log_prior], [1, 3, 1])
    chex.assert_equal_shape_prefix([log_posterior, pairs, log_prior], 1)
    log_joint = log_aggregate(jnp.sum(pairs, axis=-1), train_size, estimator)
    log_marginals = jnp.sum(log_aggregate(pairs, train_size, estimator), axis=-1)
    return KLParts(log_posterior - log_joint, log_joint - log_marginals, log_marginals - log_prior)


def covariance_penalty(
    mean: Array,
    covariance: Array | None = None,
    lambda_diagonal: float | Array = 10.0,
    lambda_off_diagonal: float | Array = 10.0,
) -> Array:
    """Squared distance of a batch's latent covariance from I (Kumar et al. 2018, arXiv:1711.00848, equations 6 and 7).

    Args:
      mean: `[B, D]`, means of q(z|x).
      covariance: None for the covariance of the means alone (DIP-VAE-I, where the paper takes `lambda_diagonal` 10
        times the other); the covariances of q(z|x), `[B, D, D]`, or their diagonals `[B, D]`, for that of the
        aggregated posterior (DIP-VAE-II).
      lambda_diagonal: weight of the squared distances of the variances from 1.
      lambda_off_diagonal: weight of the squared covariances.

    Returns:
      `[]`, one number for the batch.

    Raises:
      AssertionError: the shapes do not fit.
      ValueError: integers.
    """
    (mean,) = floats(mean=mean)
    chex.assert_rank(mean, 2)
    centred = mean - jnp.mean(mean, axis=0, keepdims=True)
    total = jnp.matmul(centred.T, centred, precision="highest") / len(mean)
    if covariance is not None:
        (covariance,) = floats(covariance=covariance)
        chex.assert_shape(covariance, (*mean.shape, mean.shape[-1]) if covariance.ndim == 3 else mean.shape)
        within = jnp.mean(covariance, axis=0)
        total = total + (within if covariance.ndim == 3 else jnp.diag(within))
    identity = jnp.eye(len(total), dtype=total.dtype)
    weights = jnp.where(identity > 0, lambda_diagonal, lambda_off_diagonal)
    return jnp.sum(weights * jnp.square(total - identity))


def permuted_dimensions(key: Array, z: Array) -> Array:
    """Permute each dimension of z over the batch by itself: draws of the product of the marginals prod_d q(z_d).

    Args:
      key: of the permutations.
      z: `[B, D]`, draws of q(z).

    Returns:
      `[B, D]`, no unit (Kim & Mnih 2018, arXiv:1802.05983, algorithm 1).

    Raises:
      AssertionError: another rank.
      ValueError: integers.
    """
    (z,) = floats(z=z)
    chex.assert_rank(z, 2)
    return jax.random.permutation(key, z, axis=0, independent=True)
