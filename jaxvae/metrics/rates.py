"""Decomposition of KL(q(z|x) || p(z)) by the aggregate posterior."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params
from jaxvae.distributions.structure import factors
from jaxvae.metrics.arrays import spread_rows
from jaxvae.models.base import Model, context_args, draw, encode_batch
from jaxvae.models.facts import Batch, as_batch


class Encoded(NamedTuple):
    """Result of one pass over the data: `posteriors` by batch, and `[N, ...]` arrays of one draw of z per x."""

    posteriors: list[Any]
    z: Array
    log_posterior: np.ndarray
    log_prior: np.ndarray


def aggregate_kl(
    model: Model,
    params: Params,
    key: Key,
    batches: Iterable[Array | Batch],
    num_rows: int = 1000,
    memory_mb: float = 64.0,
) -> dict[str, float]:
    """Decompose E_x KL(q(z|x) || p(z)), with q(z) = 1/N sum_n q(z|x_n) over these N examples.

    kl = mutual_information + marginal_kl (Hoffman & Johnson 2016), where the mutual information I(x; z) is at most
    log N and marginal_kl is KL(q(z) || p(z)). Where q(z|x) and p(z) are products over dimensions, marginal_kl =
    total_correlation + dimension_wise_kl (Chen et al. 2018, arXiv:1802.04942, equation 2). The means are over one z
    from q(z|x_n) for each of `num_rows` evenly spaced n. q(z) is the whole mixture, so that, for this N, the error is
    that of the mean alone.

    Args:
      model: with a q(z|x) whose density, or mass, is known at any z.
      params: its parameters.
      key: batch i uses `fold_in(key, i)`.
      batches: preprocessed x `[B, *data_shape]`, or whole batches with context and mask; passed over once, and only
        their q(z|x) are kept.
      num_rows: number of z, at most N; the time is proportional to it.
      memory_mb: bound on the pairs (z, x_n) held at a time.

    Returns:
      nats: "kl", "mutual_information", "marginal_kl", and "total_correlation" and "dimension_wise_kl" where they exist.

    Raises:
      UserError: q(z|x) has no density at any z, there are no examples, or `num_rows` is below 1.
    """
    if not model.latent.knows_density:
        raise UserError(
            "The parts of the KL need log q(z|x) at any z, which this posterior lacks: take the posterior "
            "'diagonal_gaussian', 'full_covariance' or a flow."
        )
    encoded = encode_batches(model, params, key, batches)
    return split_kl(model, params, encoded, num_rows, memory_mb)


def encode_batches(model: Model, params: Params, key: Key, batches: Iterable[Array | Batch]) -> Encoded:
    """Encode the data in one pass, by any posterior that is a density; batch i uses `fold_in(key, i)`.

    Raises:
      UserError: there are no examples.
    """

    @jax.jit
    def of_batch(key, batch):
        posterior: Any = encode_batch(model, params, batch)
        z, log_posterior = draw(key, posterior, 1, exact=True)
        prior: Any = model.prior(params, *context_args(batch.get("context")))
        return posterior, z[0], log_posterior[0], prior.log_prob(z[0])

    parts = [of_batch(jax.random.fold_in(key, i), as_batch(batch)) for i, batch in enumerate(batches)]
    if not parts:
        raise UserError("There are no examples to measure.")
    posteriors, z, *logs = zip(*parts, strict=True)
    return Encoded(list(posteriors), jnp.concatenate(z), *(np.concatenate(log).astype(np.float64) for log in logs))


def split_kl(model: Model, params: Params, encoded: Encoded, num_rows: int, memory_mb: float) -> dict[str, float]:
    """Compute the result of `aggregate_kl` from encoded data."""
    num = check_size(len(encoded.z), num_rows, at_least=1)
    rows = spread_rows(num, num_rows)
    z = np.asarray(encoded.z)[rows]
    context = (jnp.zeros(model.context_dim),) if model.context_dim else ()
    prior = jax.eval_shape(model.prior, params, *context)  # its structure alone
    by_dimension = factors(prior) is not None and factors(encoded.posteriors[0]) is not None
    size = math.prod(model.latent_shape)

    @jax.jit
    def sums(posterior, z):
        """Log sum_n q(z|x_n) `[R]`, and by dimension `[R, D]`, over one batch of x_n."""

        def of_one(z):
            if not by_dimension:
                return jax.nn.logsumexp(posterior.log_prob(z)), ()
            pairs = factors(posterior).log_prob(z)  # [B, D]
            return jax.nn.logsumexp(jnp.sum(pairs, axis=-1)), jax.nn.logsumexp(pairs, axis=0)

        batch = posterior.batch_shape[0]
        return jax.lax.map(of_one, z, batch_size=int(np.clip(memory_mb * 1e6 / (4 * size * batch), 1, len(z))))

    parts = [jax.device_get(sums(posterior, z)) for posterior in encoded.posteriors]
    log_joint = np.logaddexp.reduce([joint.astype(np.float64) for joint, _ in parts]) - math.log(num)
    log_posterior, log_prior = encoded.log_posterior[rows], encoded.log_prior[rows]
    split = {
        "kl": log_posterior - log_prior,
        "mutual_information": log_posterior - log_joint,
        "marginal_kl": log_joint - log_prior,
    }
    if by_dimension:
        log_marginals = np.logaddexp.reduce([by.astype(np.float64) for _, by in parts]) - math.log(num)
        split["total_correlation"] = log_joint - log_marginals.sum(axis=-1)
        split["dimension_wise_kl"] = log_marginals.sum(axis=-1) - log_prior
    return {name: float(values.mean()) for name, values in split.items()}


def check_size(num: int, num_rows: int, at_least: int) -> int:
    """Return `num`; UserError for fewer examples than `at_least`, or `num_rows` below 1."""
    if num < at_least or num_rows < 1:
        raise UserError(f"There are {num} examples and num_rows={num_rows}; they must be at least {at_least} and 1.")
    return num
