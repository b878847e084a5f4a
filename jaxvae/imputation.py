"""Missing values: draws from p(x_missing | x_observed), and its logarithm.

All needs p(x|z) to be a product over values, so that x_missing depends on x_observed through z alone.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxvae.distributions import Quantized, Shaped
from jaxvae.errors import UserError
from jaxvae.model import Model
from jaxvae.types import Array, Key, Params

FILLING_STEPS = 20  # of the chains that fill x in before log p(x_observed) is estimated


class Imputation(NamedTuple):
    """What a chain knows of missing values; the observed ones are in both arrays as they were given.

    Attributes:
      mean: `[B, *data_shape]`, E[x_missing | x_observed]: the decoder's means, averaged after the burn-in.
      sample: `[B, *data_shape]`, the chain's last state.
      acceptance: `[B]`, the part of the proposals after the burn-in that was accepted; 1 for pseudo-Gibbs.
    """

    mean: Array
    sample: Array
    acceptance: Array


def pseudo_gibbs(
    model: Model, params: Params, key: Key, x: Array, observed: Array, num_steps: int = 500, burn_in: int = 100
) -> Imputation:
    """Draws z ~ q(z|x) and x_missing ~ p(x|z) in turn (Rezende et al. 2014, arXiv:1401.4082, appendix F).

    The stationary law is p(x_missing | x_observed) if q(z|x) is p(z|x), and about as near to it as q is.

    Args:
      model: any posterior, and a likelihood that is a density and a product over values.
      params: its parameters.
      key: for the start, a draw from the model, and for the chains.
      x: `[B, *data_shape]`; what is missing may be anything, NaN too.
      observed: bool, of a shape that broadcasts to x's; True where x is known.
      num_steps: after the burn-in.
      burn_in: steps before.

    Raises:
      UserError: a mask of another shape or type, no step, or a likelihood that cannot be drawn from by value.
    """
    _check(model, params, x, observed)
    return _impute(model, params, key, x, observed, num_steps, burn_in, False)


def metropolis_within_gibbs(
    model: Model, params: Params, key: Key, x: Array, observed: Array, num_steps: int = 500, burn_in: int = 100
) -> Imputation:
    """`pseudo_gibbs` made exact: z ~ q(z|x) is a proposal, accepted with the probability
    min(1, p(x|z') p(z') q(z|x) / (p(x|z) p(z) q(z'|x))), where x is the observed and the last drawn missing values
    (Mattei & Frellsen 2018, arXiv:1802.04826, section 3.3).

    The chain of (z, x_missing) has the law p(z, x_missing | x_observed), however good q is; where q is bad it stays
    long where it is, which `acceptance` tells. The first half of the burn-in is pseudo-Gibbs, which is the faster way
    from the start to likely values.

    Args:
      model: posterior and likelihood must be densities; the posterior must know that of any z.
      params: its parameters.
      key: for the start, a draw from the model, and for the chains.
      x: `[B, *data_shape]`; what is missing may be anything, NaN too.
      observed: bool, of a shape that broadcasts to x's; True where x is known.
      num_steps: after the burn-in.
      burn_in: steps before.

    Raises:
      UserError: as for `pseudo_gibbs`, and a posterior without a density of any z.
    """
    _check(model, params, x, observed)
    _check_density(model, params, "Metropolis-within-Gibbs", "'pseudo_gibbs' needs none.")
    return _impute(model, params, key, x, observed, num_steps, burn_in, True)


def missing_log_likelihood(
    model: Model, params: Params, key: Key, x: Array, observed: Array, num_samples: int, fillings: int = 7
) -> Array:
    """The estimate of log p(x_missing | x_observed) = log p(x) - log p(x_observed), `[B]` nats.

    Both by importance sampling, with the same z from one mixture: of q(z|x); as often, of q(z | x_observed, filling)
    for `fillings` fillings by pseudo-Gibbs; and of the prior. Each z is weighed by the mixture's density (the balance
    heuristic, Veach & Guibas 1995). q(z|x) alone would be too narrow: with x partly unknown p(z|x_observed) is wider,
    and the weights could have no variance. With the prior among the parts they are at most (2 fillings + 1) p(x|z).
    Each logarithm is too low by about its weights' relative variance / (2 K).

    Args:
      model: posterior and likelihood must be densities; the posterior must know that of any z.
      params: its parameters.
      key: for all draws.
      x: `[B, *data_shape]`, complete.
      observed: bool, of a shape that broadcasts to x's. 0 is returned where all is observed.
      num_samples: K, the draws of z; rounded up to a multiple of 2 `fillings` + 1. State it with the number.
      fillings: how many.

    Raises:
      UserError: a mask of another shape or type, K or `fillings` below 1, or a model without such densities.
    """
    _check(model, params, x, observed)
    _check_density(model, params, "A likelihood of missing values", "Take another posterior: 'diagonal_gaussian'.")
    if num_samples < 1 or fillings < 1:
        raise UserError(f"num_samples is {num_samples} and fillings {fillings}; both must be at least 1.")
    return _missing(model, params, key, x, observed, num_samples, fillings)


def value_log_probs(likelihood: Any, x: Array) -> Array:
    """The log p(x_d|z) of each value, `[..., *data_shape]` nats, of a decoded distribution of batch shape `[...]`.

    Raises:
      UserError: the distribution is no product over values.
    """
    if isinstance(likelihood, Shaped) and not likelihood.values.event_shape:
        flat = x.reshape(*x.shape[: x.ndim - likelihood.event_dim], -1)
        log_probs: Any = likelihood.values.log_prob(flat)
        return log_probs.reshape(*log_probs.shape[:-1], *likelihood.event_shape)
    if isinstance(likelihood, dist.Independent) and not likelihood.base_dist.event_shape:
        return likelihood.base_dist.log_prob(x)  # pyright: ignore[reportReturnType]
    raise UserError(
        "Missing values need a likelihood that is a product over values, so that the observed ones can be taken "
        "alone; this one compares examples as wholes. Train with 'bernoulli' or 'gaussian', for example."
    )


def check_mask(x: Array, observed: Array) -> None:
    """Raises UserError for a mask that is not bool or does not broadcast to x."""
    try:
        fits = jnp.broadcast_shapes(observed.shape, x.shape) == x.shape
    except ValueError:
        fits = False
    if not fits or observed.dtype != bool:
        raise UserError(
            f"The mask of what is observed has shape {list(observed.shape)} and type {observed.dtype}; it must be of "
            f"type bool and broadcast to the data's shape {list(x.shape)}, True where a value is known."
        )


def _check(model: Model, params: Params, x: Array, observed: Array) -> None:
    if x.shape[1:] != model.data_shape:
        raise UserError(f"Data of shape {list(x.shape)} do not fit a model of {list(model.data_shape)} an example.")
    check_mask(x, observed)
    if not model.likelihood.is_density:
        raise UserError(
            "Missing values are drawn from p(x|z), but this model's reconstruction loss is no density. Train with a "
            "likelihood that is one: 'bernoulli' or 'gaussian', for example; 'latents.denoise' works with any."
        )
    z = jnp.zeros((1, *model.latent_shape))
    jax.eval_shape(lambda: value_log_probs(model.decode(params, z), jnp.zeros((1, *model.data_shape))))


def _check_density(model: Model, params: Params, tool: str, instead: str) -> None:
    q = jax.eval_shape(model.encode, params, jnp.zeros((1, *model.data_shape)))
    if not model.has_likelihood or isinstance(q, Quantized):
        raise UserError(
            f"{tool} needs the density of any z under q(z|x), but this model's posterior has all its mass on one "
            f"point. {instead}"
        )


Step = Callable[[Any, Key], tuple[Any, tuple[Array, Array]]]


def _chain(model: Model, params: Params, x: Array, observed: Array) -> tuple[Callable, Step, Step]:
    """`start(key) -> (x, z)` and the two steps `((x, z), key) -> (x, z), (decoder's mean, accepted)`."""
    prior = model.prior(params)

    def start(key: Key) -> tuple[Array, Array]:
        z_key, x_key = jax.random.split(key)
        z: Any = prior.sample(z_key, (len(x),))
        return jnp.where(observed, x, model.decode(params, z).sample(x_key)), z

    def gibbs(state, key):
        z_key, x_key = jax.random.split(key)
        z: Any = model.encode(params, state[0]).sample(z_key)
        likelihood = model.decode(params, z)
        return (jnp.where(observed, x, likelihood.sample(x_key)), z), (likelihood.mean, jnp.ones(len(x)))

    def metropolis(state, key):
        z_key, x_key, accept_key = jax.random.split(key, 3)
        filled, z = state
        q: Any = model.encode(params, filled)
        both = jnp.stack([z, q.sample(z_key)])
        likelihood: Any = model.decode(params, both)
        log_weight = likelihood.log_prob(filled) + prior.log_prob(both) - q.log_prob(both)
        # By the logarithm of a uniform number; a NaN is never accepted.
        accepted = -jax.random.exponential(accept_key, (len(x),)) < log_weight[1] - log_weight[0]

        def choose(pair: Array) -> Array:
            return jnp.where(accepted.reshape(-1, *[1] * (pair.ndim - 2)), pair[1], pair[0])

        drawn = choose(likelihood.sample(x_key))  # for both, which costs less than to decode again
        return (jnp.where(observed, x, drawn), choose(both)), (choose(likelihood.mean), accepted.astype(jnp.float32))

    return start, gibbs, metropolis


def _advance(step: Step, state: Any, key: Key, num: int) -> Any:
    return jax.lax.fori_loop(0, num, lambda i, state: step(state, jax.random.fold_in(key, i))[0], state)


@partial(jax.jit, static_argnames=("model", "num_steps", "burn_in", "exact"))
def _impute(model, params, key, x, observed, num_steps: int, burn_in: int, exact: bool) -> Imputation:
    if num_steps < 1 or burn_in < 0:
        raise UserError(f"num_steps is {num_steps} and burn_in {burn_in}; they must be at least 1 and 0.")
    start, gibbs, metropolis = _chain(model, params, x, observed)
    step = metropolis if exact else gibbs
    start_key, first_key, second_key, main_key = jax.random.split(key, 4)
    state = _advance(gibbs, start(start_key), first_key, burn_in // 2)
    state = _advance(step, state, second_key, burn_in - burn_in // 2)

    def add(carry, i):
        state, total = carry
        state, out = step(state, jax.random.fold_in(main_key, i))
        return (state, jax.tree.map(jnp.add, total, out)), None

    zeros = jnp.zeros(x.shape), jnp.zeros(len(x))
    ((sample, _), total), _ = jax.lax.scan(add, (state, zeros), jnp.arange(num_steps))
    return Imputation(jnp.where(observed, x, total[0] / num_steps), sample, total[1] / num_steps)


@partial(jax.jit, static_argnames=("model", "num_samples", "fillings"))
def _missing(model, params, key, x, observed, num_samples: int, fillings: int) -> Array:
    start_key, fill_key, draw_key = jax.random.split(key, 3)
    whole, masks = (jnp.broadcast_to(array, (fillings, *x.shape)) for array in (x, observed))
    start, gibbs, _ = _chain(model, params, whole.reshape(-1, *x.shape[1:]), masks.reshape(-1, *x.shape[1:]))
    filled, _ = _advance(gibbs, start(start_key), fill_key, FILLING_STEPS)
    q: Any = model.encode(params, jnp.concatenate([whole, filled.reshape(whole.shape)]))
    prior: Any = model.prior(params)
    parts = 2 * fillings + 1
    rounds = -(-num_samples // parts)

    def add(totals: tuple[Array, Array], i: Array) -> tuple[tuple[Array, Array], None]:
        q_key, prior_key = jax.random.split(jax.random.fold_in(draw_key, i))
        z = jnp.concatenate([q.sample(q_key), prior.sample(prior_key, (1, len(x)))])
        log_prior = prior.log_prob(z)
        pairs = jnp.broadcast_to(z[:, None], (parts, parts - 1, *z.shape[1:]))
        log_parts = jnp.concatenate([q.log_prob(pairs), log_prior[:, None]], axis=1)
        log_ratio = log_prior - (jax.nn.logsumexp(log_parts, axis=1) - math.log(parts))
        by_value = value_log_probs(model.decode(params, z), x)

        def extend(total: Array, values: Array) -> Array:
            log_weight = jnp.sum(values, axis=tuple(range(2, values.ndim))) + log_ratio
            return jnp.logaddexp(total, jax.nn.logsumexp(log_weight, axis=0))

        return (extend(totals[0], by_value), extend(totals[1], jnp.where(observed, by_value, 0.0))), None

    empty = jnp.full(len(x), -jnp.inf)
    (log_whole, log_known), _ = jax.lax.scan(add, (empty, empty), jnp.arange(rounds))
    return log_whole - log_known
