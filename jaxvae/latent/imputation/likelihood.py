"""Likelihood of missing values given the observed ones, by importance sampling."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params
from jaxvae.distributions.structure import value_log_probs
from jaxvae.latent.imputation.checks import require_values
from jaxvae.latent.imputation.steps import advance, make_chain
from jaxvae.models.base import Model, context_args
from jaxvae.models.densities import require_density
from jaxvae.models.sampling import from_prior

FILLING_STEPS = 20  # of the chains that fill in x before log p(x_observed) is estimated


def missing_log_likelihood(
    model: Model,
    params: Params,
    key: Key,
    x: Array,
    observed: Array,
    num_samples: int,
    fillings: int = 7,
    context: Array | None = None,
) -> Array:
    """Estimate log p(x_missing | x_observed) = log p(x) - log p(x_observed), `[B]` nats.

    Both terms are estimated by importance sampling with the same z, drawn from a mixture: `fillings` parts q(z|x), as
    many parts q(z | x_observed, filling) for fillings by pseudo-Gibbs, and the prior. Each z is weighted by the density
    of the mixture (the balance heuristic, Veach & Guibas 1995). q(z|x) alone would be too narrow: p(z|x_observed) is
    wider, and the variance of the weights could be infinite. With the prior in the mixture, the weights are at most
    (2 fillings + 1) p(x|z). Each logarithm is biased down by about its weights' relative variance / (2 K).

    Args:
      model: posterior and likelihood must be densities, the posterior's known at any z.
      params: its parameters.
      key: for all draws.
      x: `[B, *data_shape]`, complete.
      observed: bool mask that broadcasts to x. The result is 0 where all values are observed.
      num_samples: K, the draws of z; rounded up to a multiple of 2 `fillings` + 1. Report it with the number.
      fillings: number of fillings.
      context: `[B, C]` of a conditional model.

    Raises:
      UserError: a mask of another shape or type, K or `fillings` below 1, or a model without such densities.
    """
    require_values(model, params, x, observed, context)
    require_density(model, "A likelihood of missing values", "Take another posterior: 'diagonal_gaussian'.")
    if num_samples < 1 or fillings < 1:
        raise UserError(f"num_samples is {num_samples} and fillings {fillings}; both must be at least 1.")
    return _missing(model, params, key, x, observed, context, num_samples, fillings)


@partial(jax.jit, static_argnames=("model", "num_samples", "fillings"))
def _missing(model, params, key, x, observed, context, num_samples: int, fillings: int) -> Array:
    start_key, fill_key, draw_key = jax.random.split(key, 3)
    given = context_args(context)
    whole, masks = (jnp.broadcast_to(array, (fillings, *x.shape)) for array in (x, observed))
    tiled = whole.reshape(-1, *x.shape[1:]), masks.reshape(-1, *x.shape[1:])
    start, gibbs, _ = make_chain(model, params, *tiled, None if context is None else jnp.tile(context, (fillings, 1)))
    filled, _ = advance(gibbs, start(start_key), fill_key, FILLING_STEPS)
    seen = {"mask": jnp.concatenate([jnp.ones_like(masks), masks])} if model.mask_input else {}
    q: Any = model.encode(params, jnp.concatenate([whole, filled.reshape(whole.shape)]), *given, **seen)
    prior: Any = model.prior(params, *given)
    parts = 2 * fillings + 1
    rounds = -(-num_samples // parts)

    def add(totals: tuple[Array, Array], i: Array) -> tuple[tuple[Array, Array], None]:
        q_key, prior_key = jax.random.split(jax.random.fold_in(draw_key, i))
        z = jnp.concatenate([q.sample(q_key), from_prior(prior, prior_key, (1, len(x)))])
        log_prior = prior.log_prob(z)
        pairs = jnp.broadcast_to(z[:, None], (parts, parts - 1, *z.shape[1:]))
        log_parts = jnp.concatenate([q.log_prob(pairs), log_prior[:, None]], axis=1)
        log_ratio = log_prior - (jax.nn.logsumexp(log_parts, axis=1) - math.log(parts))
        by_value = value_log_probs(model.decode(params, z, *given), x)

        def extend(total: Array, values: Array) -> Array:
            log_weight = jnp.sum(values, axis=tuple(range(2, values.ndim))) + log_ratio
            return jnp.logaddexp(total, jax.nn.logsumexp(log_weight, axis=0))

        return (extend(totals[0], by_value), extend(totals[1], jnp.where(observed, by_value, 0.0))), None

    empty = jnp.full(len(x), -jnp.inf)
    (log_whole, log_known), _ = jax.lax.scan(add, (empty, empty), jnp.arange(rounds))
    return log_whole - log_known
