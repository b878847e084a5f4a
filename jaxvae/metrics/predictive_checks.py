"""Posterior predictive checks: whether data that a model makes again is like the data."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.sequences import PADDING
from jaxvae.common.types import Array, Key, Params
from jaxvae.distributions.structure import observed_log_prob
from jaxvae.metrics.paths import chains_at_once
from jaxvae.models.base import Model, context_args, encode_batch
from jaxvae.models.facts import batch_of

Statistic = Callable[[Array, Array], Array]  # (x [N, D], observed bool [N, D]) -> []
DISCREPANCY = "discrepancy"


def _mean(x: Array, seen: Array) -> Array:
    return jnp.sum(jnp.where(seen, x, 0.0)) / jnp.sum(seen)


def _deviation(x: Array, seen: Array) -> Array:
    return jnp.sqrt(_mean(jnp.square(x - _mean(x, seen)), seen))


def _between_examples(x: Array, seen: Array) -> Array:
    return jnp.std(jnp.sum(jnp.where(seen, x, 0.0), axis=1) / jnp.maximum(jnp.sum(seen, axis=1), 1))


def _between_values(x: Array, seen: Array) -> Array:
    return jnp.std(jnp.sum(jnp.where(seen, x, 0.0), axis=0) / jnp.maximum(jnp.sum(seen, axis=0), 1))


STATISTICS: dict[str, Statistic] = {
    "mean": _mean,
    "deviation": _deviation,
    "between_examples": _between_examples,
    "between_values": _between_values,
    "zeros": lambda x, seen: _mean(jnp.where(x == 0, 1.0, 0.0), seen),
    "smallest": lambda x, seen: jnp.min(jnp.where(seen, x, jnp.inf)),
    "largest": lambda x, seen: jnp.max(jnp.where(seen, x, -jnp.inf)),
}


def replicate(
    model: Model,
    params: Params,
    key: Key,
    x: Array,
    num_replicates: int = 200,
    statistics: Mapping[str, Statistic] = STATISTICS,
    memory_mb: float = 8.0,
    context: Array | None = None,
    mask: Array | None = None,
) -> dict[str, tuple[Array, Array]]:
    """Compute statistics of data and of replicated data, z ~ q(z|x) and x' ~ p(x|z) for each example.

    Reference: Gelman, Meng & Stern 1996, "Posterior predictive assessment of model fitness via realized discrepancies".

    Args:
      model: with a likelihood that is a density; any posterior.
      params: its parameters.
      key: for all draws.
      x: `[N, *data_shape]`.
      num_replicates: R.
      statistics: by name, functions of x `[N, D]` and of the observed values, bool `[N, D]`.
      memory_mb: bound on the decoder outputs held at a time; it changes results by rounding alone.
      context: `[N, C]` of a conditional model.
      mask: bool of the shape of x, True where a value is observed: the others are left out of the replicated data too.

    Padding of sequences does not count.

    Returns:
      `{name: (of the data [R], of replicated data [R])}` for each statistic, and "discrepancy": the mean of
      -log p(x|z) in nats, at the z of each replicate, which depends on z for the data too.

    Raises:
      UserError: the reconstruction loss is not a density, or there are no replicates.
    """
    if not model.likelihood.is_density:
        raise UserError(
            "Posterior predictive checks draw data from p(x|z), and this model's reconstruction loss is not a density: "
            "train with a likelihood such as 'bernoulli' or 'gaussian'."
        )
    if num_replicates < 1:
        raise UserError(f"Posterior predictive checks got num_replicates={num_replicates}; it must be 1 or more.")
    posterior: Any = encode_batch(model, params, batch_of(x, context, mask))
    beside = {name: value for name, value in (("context", context), ("mask", mask)) if value is not None}
    num, at_once = len(x), min(chains_at_once(model, memory_mb), len(x))
    is_frames = model.data.is_sequential and not model.data.is_text

    def values(x: Array) -> dict[str, Array]:
        seen = x > PADDING if model.data.is_sequential else jnp.ones(x.shape, bool) if mask is None else mask
        return {name: of(x.reshape(num, -1), seen.reshape(num, -1)) for name, of in statistics.items()}

    def decoded(z: Array, own: dict[str, Array]) -> Any:
        return model.decode(params, z, *context_args(own.get("context")))

    def draw(item: tuple[Key, Array, Array, dict[str, Array]]) -> Array:
        key, z, x, own = item
        drawn = decoded(z, own).sample(key)
        return jnp.where(x > PADDING, drawn, PADDING) if is_frames else drawn  # a replicate is as long as the piece

    def compared(item: tuple[Array, Array, Array, dict[str, Array]]) -> tuple[Array, Array, Array]:
        drawn, z, x, own = item
        likelihood = decoded(z, own)
        of_data, of_drawn = (observed_log_prob(likelihood, each, own.get("mask")) for each in (x, drawn))
        return drawn, of_data, of_drawn

    def of_example(item: tuple[Key, Array, Array, dict[str, Array]]) -> tuple[Array, Array, Array]:
        return compared((draw(item), *item[1:]))

    def of_replicate(index: Array) -> dict[str, tuple[Array, Array]]:
        latent_key, data_key = jax.random.split(jax.random.fold_in(key, index))
        keys, *items = jax.random.split(data_key, num), posterior.sample(latent_key), x, beside
        if model.data.is_sequential:  # drawn step by step, so that a draw holds the outputs of one step alone
            drawn = jax.lax.map(draw, (keys, *items), batch_size=min(at_once * model.data_shape[0], num))
            drawn, of_data, of_drawn = jax.lax.map(compared, (drawn, *items), batch_size=at_once)
        else:
            drawn, of_data, of_drawn = jax.lax.map(of_example, (keys, *items), batch_size=at_once)
        found = {name: (of_all[name], value) for name, value in values(drawn).items()}
        return found | {DISCREPANCY: (-jnp.mean(of_data), -jnp.mean(of_drawn))}

    of_all = values(x)
    return jax.lax.map(of_replicate, jnp.arange(num_replicates))


def judge_replicates(found: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Compare the statistics of `replicate` for data and replicates.

    Returns:
      for each statistic "NAME", of the data, "NAME_replicated", the mean over the replicates, and "NAME_p": the share
      of replicates in which it is larger, ties counted by half, in (0, 1). Near 0 the model makes too small a value,
      near 1 too large a one. "p_value" is the smallest two-sided p times the number of statistics (Bonferroni).
    """
    values: dict[str, float] = {}
    sided = []
    for name, pair in found.items():
        data, drawn = (np.asarray(each, np.float64) for each in pair)
        p = float((np.sum(drawn > data) + 0.5 * np.sum(drawn == data) + 0.5) / (len(drawn) + 1))
        values |= {name: float(data.mean()), f"{name}_replicated": float(drawn.mean()), f"{name}_p": p}
        sided.append(2 * min(p, 1 - p))
    return {"p_value": min(1.0, len(sided) * min(sided))} | values
