"""Importance-weighted likelihood of a model."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params, Tree
from jaxvae.distributions.structure import observed_log_prob
from jaxvae.metrics.pareto import LEAST, pareto_k, threshold
from jaxvae.models.base import Model, context_args, draw, encode_batch
from jaxvae.models.facts import Batch

EDGE_DRAWS = 16  # draws of z per example that are checked for the edge of the latent space


def importance_nll(
    model: Model,
    params: Params,
    key: Key,
    x: Array,
    num_samples: int,
    memory_mb: float = 8.0,
    context: Array | None = None,
    mask: Array | None = None,
) -> Array:
    """Estimate -log p(x) from above with `num_samples` draws of z from q(z|x) (arXiv:1509.00519, equation 8).

    Args:
      model: with densities for posterior and likelihood.
      params: its parameters.
      key: sample k of the batch uses `fold_in(key, k)`, so that the chunk size changes results by rounding alone.
      x: `[B, *data_shape]`.
      num_samples: K; report it with the number. In expectation the estimate falls with K to -log p(x).
      memory_mb: bound on the decoder outputs held at a time, at least one example: a larger batch is decoded in equal
        groups. It changes results by rounding alone. K does not change this memory.
      context: `[B, C]` of a conditional model.
      mask: bool of the shape of x, True where a value is observed; the estimate is then of -log p(x_observed).

    Returns:
      `[B]` nats. Draws at the edge of the latent space (`Space.at_edge`), where densities are wrong, get weight 0: the
      estimate stays an upper bound, and is infinite if all draws of an example lie there.

    Raises:
      UserError: posterior or likelihood is not a density, or K is below 1.
    """
    total, _ = _weighed(model, params, key, x, num_samples, memory_mb, context, mask)
    return jnp.log(num_samples) - total


def nll_and_pareto_k(
    model: Model, params: Params, key: Key, x: Array, num_samples: int, memory_mb: float = 8.0, **beside: Array
) -> tuple[Array, Array]:
    """Compute `importance_nll` and the Pareto k of its weights, `[B]` each, from the same draws.

    The weights need `4 K B` bytes. The other arguments are those of `importance_nll`, `context` and `mask` among them.

    Raises:
      UserError: as `importance_nll`, or K is too small for a tail, see `pareto.pareto_k`.
    """
    total, log_weights = _weighed(model, params, key, x, num_samples, memory_mb, **beside)
    return jnp.log(num_samples) - total, pareto_k(log_weights)


def _weighed(
    model: Model,
    params: Params,
    key: Key,
    x: Array,
    num_samples: int,
    memory_mb: float,
    context: Array | None = None,
    mask: Array | None = None,
) -> tuple[Array, Array]:
    """Sum the weights: the log of the sum `[B]`, and the log-weights `[K, B]` (removed by `jit` where unused)."""
    if not model.has_likelihood:
        raise UserError("An importance-weighted likelihood needs a posterior and a likelihood that are densities.")
    if num_samples < 1:
        raise UserError(f"evaluate.nll_samples is {num_samples}; the estimate needs at least 1 sample.")
    example_bytes = 4 * model.likelihood.num_outputs(x.shape[1:])
    group, chunk = _fitting(len(x), example_bytes, num_samples, memory_mb * 1e6)
    batch = {name: array for name, array in {"x": x, "context": context, "mask": mask}.items() if array is not None}
    posterior, prior = encode_batch(model, params, batch), model.prior(params, *context_args(context))
    at_edge = model.latent.space.at_edge

    def by_group(array: Array, axis: int) -> Array:  # [groups, ..., group, ...]; every device keeps its rows of each
        split = array.reshape(*array.shape[:axis], group, -1, *array.shape[axis + 1 :])
        return jnp.moveaxis(split, axis + 1, 0)

    groups = jax.tree.map(lambda array: by_group(array, 0), batch)

    def log_likelihood(z: Array) -> Array:
        def of_group(item: tuple[Array, Batch]) -> Array:
            z, group = item
            likelihood = model.decode(params, z, *context_args(group.get("context")))
            return observed_log_prob(likelihood, group["x"], group.get("mask"))

        terms: Any = jax.lax.map(of_group, (by_group(z, 1), groups))
        return jnp.moveaxis(terms, 0, -1).reshape(len(z), len(x))

    def draw_one(key: Key) -> tuple[Array, Array]:
        z, log_posterior = draw(key, posterior, 1, exact=True)
        return z[0], log_posterior[0]

    def add_chunk(total: Array, start: Array) -> tuple[Array, Array]:
        indices = start + jnp.arange(chunk)
        z, log_posterior = jax.vmap(lambda k: draw_one(jax.random.fold_in(key, k)))(indices)
        log_prior: Any = prior.log_prob(z)
        log_weight = log_likelihood(z) + log_prior - log_posterior
        if at_edge is not None:
            log_weight = jnp.where(at_edge(z), -jnp.inf, log_weight)
        log_weight = jnp.where(indices[:, None] < num_samples, log_weight, -jnp.inf)
        return jnp.logaddexp(total, jax.nn.logsumexp(log_weight, axis=0)), log_weight

    start = jnp.arange(0, num_samples, chunk)
    total, log_weights = jax.lax.scan(add_chunk, jnp.full(x.shape[0], -jnp.inf), start)
    return total, log_weights.reshape(-1, len(x))[:num_samples]


def _fitting(batch: int, example_bytes: int, num_samples: int, room: float) -> tuple[int, int]:
    """Examples per group (a divisor of the batch) and samples per chunk that fit into `room` bytes: (group, chunk)."""
    group = max(n for n in range(1, batch + 1) if batch % n == 0 and (n == 1 or n * example_bytes <= room))
    return group, int(np.clip(room / (group * example_bytes), 1, num_samples))


def nll_metrics(
    model: Model, preprocess: Callable, num_samples: int, memory_mb: float, params: Tree, key: Key, batch: dict
) -> dict[str, Array]:
    """Apply `importance_nll` to one batch of stored values: `{"nll": [B]}`.

    With enough draws also "pareto_k" `[B]`, and "pareto_k_high" `[B]`: 1 where it is above `pareto.threshold`, else 0.
    If the latent space has an edge, also "at_edge" `[B]`: the share of EDGE_DRAWS draws of z that lie there.
    """
    data_key, sample_key = jax.random.split(key)
    x = preprocess(data_key, batch["x"])
    given = {name: batch[name] for name in ("context", "mask") if batch.get(name) is not None}
    if num_samples < LEAST:
        found = {"nll": importance_nll(model, params, sample_key, x, num_samples, memory_mb, **given)}
    else:
        nll, k = nll_and_pareto_k(model, params, sample_key, x, num_samples, memory_mb, **given)
        found = {"nll": nll, "pareto_k": k, "pareto_k_high": jnp.where(k > threshold(num_samples), 1.0, 0.0)}
    if (at_edge := model.latent.space.at_edge) is not None:
        posterior: Any = encode_batch(model, params, {"x": x, **given})
        z = posterior.sample(jax.random.fold_in(sample_key, num_samples), (EDGE_DRAWS,))
        found["at_edge"] = jnp.mean(at_edge(z), axis=0)
    return found
