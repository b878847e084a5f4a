"""Bounds on log p(x) by annealed importance sampling (AIS) over the latent.

The transitions and weights of the chains are in `annealing.py`, their densities in `paths.py`. All functions are
traceable: put `jax.jit` around them (the model is then a constant).
"""

from typing import Any

import jax

from jaxvae.common.types import Array, Key, Params
from jaxvae.metrics.annealing import Examples, log_mean_exp, temperatures
from jaxvae.metrics.paths import backward, chains_at_once, forward, paths
from jaxvae.models.base import Model, context_args
from jaxvae.models.context import given


def ais(
    model: Model,
    params: Params,
    key: Key,
    x: Array,
    num_temperatures: int = 500,
    num_chains: int = 16,
    start: str = "prior",
    num_leapfrog: int = 10,
    memory_mb: float = 8.0,
    context: Array | None = None,
    mask: Array | None = None,
    rows: Array | None = None,
) -> Array:
    """Estimate log p(x) from below: the log-mean of the weights of `num_chains` chains (arXiv:1611.04273, section 3).

    Args:
      model: with a density for p(x|z), continuous latents in R^n and a prior density.
      params: its parameters.
      key: each chain of each example has its own key, so that `memory_mb` changes results by rounding alone.
      x: `[B, *data_shape]`.
      num_temperatures: transitions along the path, sigmoid-spaced; more of them tighten the bound.
      num_chains: chains per example.
      start: "prior", s(z) = p(z); or "posterior", s(z) = q(z|x), which is closer to p(z|x) for a good q, and needs a
        posterior whose density is known at any z.
      num_leapfrog: leapfrog steps per transition; each evaluates the decoder and its gradient.
      memory_mb: bound on the decoder outputs held at a time; at least one chain runs.
      context: `[B, C]` of a conditional model, each example's own; the estimate is of log p(x|context).
      mask: bool of the shape of x, True where a value is observed; the estimate is then of log p(x_observed).
      rows: `[R]`, indices of the examples to estimate, by default all; others change them by rounding alone.

    Returns:
      `[R]` nats, at most log p(x) in expectation; its exponential is an unbiased estimate of p(x).

    Raises:
      UserError: latents outside R^n, a missing density, an unknown `start`, or a number below 1.
    """
    betas = temperatures(num_temperatures)
    path_of = paths(model, params, x, start, num_chains, num_leapfrog, context=context, mask=mask)
    room = chains_at_once(model, memory_mb)
    log_weight, _ = forward(path_of, key, Examples.of(x, rows), betas, num_chains, num_leapfrog, room)
    return log_mean_exp(log_weight[..., -1])


def simulate(model: Model, params: Params, key: Key, num: int, context: Array | None = None) -> tuple[Array, Array]:
    """Draw `num` pairs z ~ p(z), x ~ p(x|z): each z is an exact sample of p(z|x) (arXiv:1511.02543, section 3).

    With a `context` `[num, C]` each pair is drawn at its own.

    Returns:
      z `[num, *latent_shape]` and x `[num, *data_shape]`.
    """
    prior_key, data_key = jax.random.split(key)
    if context is None:
        prior: Any = model.prior(params)
        z = prior.sample(prior_key, (num,))
    else:

        def draw_at(key: Key, context: Array) -> Array:
            prior: Any = given(model, context).prior(params)
            return prior.sample(key)

        z = jax.vmap(draw_at)(jax.random.split(prior_key, num), context)
    likelihood: Any = model.decode(params, z, *context_args(context))
    return z, likelihood.sample(data_key)


def reverse_ais(
    model: Model,
    params: Params,
    key: Key,
    z: Array,
    x: Array,
    num_temperatures: int = 500,
    num_chains: int = 16,
    start: str = "prior",
    num_leapfrog: int = 10,
    memory_mb: float = 8.0,
    context: Array | None = None,
    mask: Array | None = None,
    rows: Array | None = None,
) -> Array:
    """Estimate log p(x) from above, by chains backwards from an exact posterior sample (arXiv:1511.02543, section 3.2).

    Takes the arguments of `ais`, and z `[B, *latent_shape]` drawn from p(z|x), as by `simulate`.

    Returns:
      `[R]` nats, at least log p(x) in expectation.

    Raises:
      UserError: as `ais`.
    """
    betas = temperatures(num_temperatures)
    path_of = paths(model, params, x, start, num_chains, num_leapfrog, context=context, mask=mask)
    room = chains_at_once(model, memory_mb)
    return -log_mean_exp(backward(path_of, key, Examples.of(x, rows), z, betas, num_chains, num_leapfrog, room))


def bidirectional(
    model: Model, params: Params, key: Key, num: int, context: Array | None = None, **options: Any
) -> tuple[Array, Array]:
    """Bound log p(x) from below and above for `num` simulated x (bidirectional Monte Carlo).

    The gap bounds the error of `ais` with the same `options`, on data drawn from the model (arXiv:1511.02543). With a
    `mask` `[num, *data_shape]` among the options the bounds are of the observed values alone: z is an exact sample of
    p(z|x_observed) too.

    Returns:
      lower and upper bounds, `[num]` nats each.

    Raises:
      UserError: as `ais`.
    """
    data_key, lower_key, upper_key = jax.random.split(key, 3)
    z, x = simulate(model, params, data_key, num, context)
    lower = ais(model, params, lower_key, x, context=context, **options)
    return lower, reverse_ais(model, params, upper_key, z, x, context=context, **options)
