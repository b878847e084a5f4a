"""Log p(x) between two bounds, by annealed importance sampling over the latent.

How its chains move and are weighed is in `annealing.py`, where they start in `paths.py`. All functions are traceable:
put `jax.jit` around them (the model is then a constant).
"""

from typing import Any

import jax

from jaxvae.common.types import Array, Key, Params
from jaxvae.metrics.annealing import log_mean_exp, temperatures
from jaxvae.metrics.paths import backward, chains_at_once, forward, paths
from jaxvae.models.base import Model


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
) -> Array:
    """Log p(x), estimated from below: the log-mean of the weights of `num_chains` chains (arXiv:1611.04273, section 3).

    Args:
      model: with a density for p(x|z), continuous latents in R^n and a prior density.
      params: its parameters.
      key: chain c of example b has a key of its own, so that the memory bound changes nothing but rounding.
      x: `[B, *data_shape]`.
      num_temperatures: moves along the path, sigmoid-spaced; the bound closes as they grow.
      num_chains: for each example.
      start: "prior", s(z) = p(z); or "posterior", s(z) = q(z|x), which is near where q is good, and costs an encoder
        whose density is known at any z.
      num_leapfrog: steps of each move; an evaluation of the decoder and of its gradient each.
      memory_mb: a bound on the decoder's outputs held at a time, as far as one chain allows.

    Returns:
      `[B]` nats, at most log p(x) in expectation; exp of it is unbiased.

    Raises:
      UserError: other latents, no densities, an unknown start, or a number below 1.
    """
    betas = temperatures(num_temperatures)
    path_of = paths(model, params, x, start, num_chains, num_leapfrog)
    log_weight, _ = forward(path_of, key, len(x), betas, num_chains, num_leapfrog, chains_at_once(model, memory_mb))
    return log_mean_exp(log_weight[..., -1])


def simulate(model: Model, params: Params, key: Key, num: int) -> tuple[Array, Array]:
    """`num` exact draws of z from p(z) and x from p(x|z), so that z is one of p(z|x) (arXiv:1511.02543, section 3).

    Returns:
      z `[num, *latent_shape]` and x `[num, *data_shape]`.
    """
    prior_key, data_key = jax.random.split(key)
    prior: Any = model.prior(params)
    z = prior.sample(prior_key, (num,))
    likelihood: Any = model.decode(params, z)
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
) -> Array:
    """Log p(x), estimated from above, by chains that go back from an exact z (arXiv:1511.02543, section 3.2).

    Args are those of `ais`, and z `[B, *latent_shape]`, drawn from p(z|x) as `simulate` does.

    Returns:
      `[B]` nats, at least log p(x) in expectation.

    Raises:
      UserError: as `ais`.
    """
    betas = temperatures(num_temperatures)
    path_of = paths(model, params, x, start, num_chains, num_leapfrog)
    return -log_mean_exp(backward(path_of, key, z, betas, num_chains, num_leapfrog, chains_at_once(model, memory_mb)))


def bidirectional(model: Model, params: Params, key: Key, num: int, **options: Any) -> tuple[Array, Array]:
    """Bounds on log p(x) of `num` simulated x, which the truth lies between (bidirectional Monte Carlo).

    Their gap bounds the error of `ais` with the same `options`, on data like the model's own (arXiv:1511.02543).

    Returns:
      lower and upper, `[num]` nats each.

    Raises:
      UserError: as `ais`.
    """
    data_key, lower_key, upper_key = jax.random.split(key, 3)
    z, x = simulate(model, params, data_key, num)
    lower = ais(model, params, lower_key, x, **options)
    return lower, reverse_ais(model, params, upper_key, z, x, **options)
