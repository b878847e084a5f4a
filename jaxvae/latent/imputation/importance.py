"""Imputation by importance sampling: the mean, and draws, of p(x_missing | x_observed)."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params
from jaxvae.distributions.missingness import self_masking_log_prob
from jaxvae.distributions.structure import averaged, observed_log_prob, point_estimate
from jaxvae.latent.imputation.checks import require_values
from jaxvae.models.base import Model, context_args, draw, encode_batch

AT_A_TIME = 2**21  # decoder outputs


class Imputations(NamedTuple):
    """Imputed values; observed values are unchanged in both arrays.

    Attributes:
      mean: `[B, *data_shape]`, E[x_missing | x_observed], the single imputation of least squared error.
      draws: `[M, B, *data_shape]`, draws from p(x_missing | x_observed), for multiple imputation.
      effective: `[B]`, the effective number of samples of z, from 1 to K.
    """

    mean: Array
    draws: Array
    effective: Array


def importance_imputation(
    model: Model,
    params: Params,
    key: Key,
    x: Array,
    observed: Array,
    num_samples: int = 1000,
    num_draws: int = 0,
    context: Array | None = None,
    missingness: Params | None = None,
) -> Imputations:
    """Impute by self-normalised importance sampling (Mattei & Frellsen 2019, arXiv:1812.02633).

    z_k ~ q(z | x_observed) has the weight w_k = p(x_observed | z_k) p(z_k) / q(z_k | x_observed), normalised over k.
    The mean is that of the decoder's means, sum_k w_k E[x | z_k], and for categories the likeliest one; a draw takes z
    from the z_k by their weights (sampling-importance-resampling), and x from p(x|z). Both are exact as K grows.

    Args:
      model: posterior and likelihood must be densities, the likelihood a product over values.
      params: its parameters.
      key: for all draws.
      x: `[B, *data_shape]`; missing values may be anything, NaN too.
      observed: bool mask that broadcasts to x; True where x is observed.
      num_samples: K; the memory does not grow with it.
      num_draws: M.
      context: `[B, C]` of a conditional model.
      missingness: parameters of `distributions.missingness`, of a model of values that are not missing at random: the
        weights are those of drawn x, w_k p(mask | x_k), and the mean is that of the draws (Ipsen et al. 2021,
        arXiv:2006.12871).

    Raises:
      UserError: a mask of another shape or type, K below 1 or M below 0, or a model without such densities.
    """
    require_values(model, params, x, observed, context)
    if not model.has_likelihood:
        raise UserError("Imputation by importance sampling needs a posterior with a density: take 'diagonal_gaussian'.")
    if num_samples < 1 or num_draws < 0:
        raise UserError(f"num_samples is {num_samples} and num_draws {num_draws}; they must be at least 1 and 0.")
    mask = jnp.broadcast_to(observed, x.shape)
    return _importance(model, params, key, x, mask, context, missingness, num_samples, num_draws)


@partial(jax.jit, static_argnames=("model", "num_samples", "num_draws"))
def _importance(model, params, key, x, observed, context, missingness, num_samples: int, num_draws: int) -> Imputations:
    batch = {"x": x, "mask": observed} | ({} if context is None else {"context": context})
    posterior, prior = encode_batch(model, params, batch), model.prior(params, *context_args(context))
    sample_key, choice_key, x_key = jax.random.split(key, 3)
    outputs = len(x) * model.likelihood.num_outputs(model.data_shape)
    chunk = max(1, min(num_samples, AT_A_TIME // outputs))
    at_edge = model.latent.space.at_edge

    def add(carry: tuple[Array, ...], start: Array) -> tuple[tuple[Array, ...], None]:
        total, of_squares, mean, kept = carry
        z, log_posterior = draw(jax.random.fold_in(sample_key, start), posterior, chunk, exact=True)
        likelihood: Any = model.decode(params, z, *context_args(context))
        log_prior: Any = prior.log_prob(z)
        log_weight = observed_log_prob(likelihood, x, observed) + log_prior - log_posterior
        drawn = None
        if missingness is not None:
            drawn = likelihood.sample(jax.random.fold_in(x_key, start))
            filled = jnp.where(observed, x, drawn)
            log_weight += self_masking_log_prob(missingness, filled, observed, len(model.data_shape))
        if at_edge is not None:
            log_weight = jnp.where(at_edge(z), -jnp.inf, log_weight)
        log_weight = jnp.where(start + jnp.arange(chunk)[:, None] < num_samples, log_weight, -jnp.inf)
        log_weight = jnp.where(jnp.isnan(log_weight), -jnp.inf, log_weight)
        of_chunk = jax.nn.logsumexp(log_weight, axis=0)
        following = jnp.logaddexp(total, of_chunk)
        base = jnp.where(jnp.isfinite(following), following, 0.0)
        weights = jnp.exp(log_weight - base)
        mean = _by_row(jnp.exp(total - base), mean) * mean
        mean += averaged(likelihood, weights) if drawn is None else _by_weights(drawn, weights)
        pick_key, keep_key = jax.random.split(jax.random.fold_in(choice_key, start))
        picked = jax.random.categorical(pick_key, log_weight, axis=0, shape=(num_draws, len(x)))
        candidate = (z if drawn is None else drawn)[picked, jnp.arange(len(x))]
        is_new = jax.random.uniform(keep_key, picked.shape) < jnp.exp(of_chunk - base)
        kept = jnp.where(_by_row(is_new, candidate), candidate, kept)
        return (following, jnp.logaddexp(of_squares, jax.nn.logsumexp(2 * log_weight, axis=0)), mean, kept), None

    def decoded(z: Array) -> Any:
        return model.decode(params, z, *context_args(context))

    def statistics(z: Array) -> Array:
        return averaged(decoded(z), jnp.zeros((1, len(x))))

    any_z, empty = jnp.zeros((1, len(x), *model.latent_shape)), jnp.full(len(x), -jnp.inf)
    size = jax.eval_shape(statistics, any_z).shape if missingness is None else (len(x), math.prod(x.shape[1:]))
    kept_shape = model.latent_shape if missingness is None else x.shape[1:]
    start = empty, empty, jnp.zeros(size), jnp.zeros((num_draws, len(x), *kept_shape))
    (total, of_squares, mean, kept), _ = jax.lax.scan(add, start, jnp.arange(0, num_samples, chunk))
    draws = kept
    if missingness is None and num_draws:
        draws = model.decode(params, kept, *context_args(context)).sample(x_key)
    effective = jnp.exp(2 * total - of_squares)
    draws = jnp.where(observed, x, draws) if num_draws else jnp.zeros((0, *x.shape))
    # The estimate depends on the kind of p(x|z) alone, not on z.
    estimate = point_estimate(decoded(any_z), mean) if missingness is None else mean.reshape(x.shape)
    return Imputations(jnp.where(observed, x, estimate), draws, effective)


def _by_weights(x: Array, weights: Array) -> Array:
    """Average x `[K, B, *data_shape]` by weights `[K, B]`: `[B, D]`."""
    return jnp.einsum("kb,kbn->bn", weights, x.reshape(*weights.shape, -1))


def _by_row(values: Array, like: Array) -> Array:
    """Reshape `[...]` to the rank of an array `[..., *event]`."""
    return values.reshape(*values.shape, *[1] * (like.ndim - values.ndim))
