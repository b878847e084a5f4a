"""Log p(x) between two bounds, and the rate-distortion curve, by annealed importance sampling over the latent.

A path of densities f_b(z) = s(z)^(1 - b) p(x, z)^b leads from a start density s to p(x, z), as b goes from 0 to 1. A
chain moves along it by Hamiltonian Monte Carlo, each move leaving its f_b as it is, and gathers the ratios of
neighbouring f_b at its points: its weight has the mean p(x) (Wu et al. 2017, arXiv:1611.04273, section 3).

That mean is exact only if the step size of a move does not depend on where its chain has been. So a pilot chain of each
example adapts the step sizes, from the acceptance of its own moves, and the chains that are weighed take them as given.
All functions are traceable: put `jax.jit` around them (the model is then a constant).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxvae.errors import UserError, unknown
from jaxvae.model import Model
from jaxvae.posteriors import EUCLIDEAN
from jaxvae.types import Array, Key, Params

STARTS = ("prior", "posterior")
FIRST_STEP, GAIN, ACCEPTANCE = 0.1, 0.1, 0.65  # of the pilot; 0.65 is HMC's best rate (arXiv:1001.4460)


class Path(NamedTuple):
    """The densities between the start s(z) and p(x, z) of one x, as functions of one z `[*latent_shape]`.

    Attributes:
      draw: `key -> z` from s.
      log_start: `z -> log s(z)`.
      log_ratio: `z -> log p(x, z) - log s(z)`; log p(x|z) where s is the prior.
    """

    draw: Callable[[Key], Array]
    log_start: Callable[[Array], Array]
    log_ratio: Callable[[Array], Array]


class Point(NamedTuple):
    """A z with the logarithms of the path's two functions at it, and their gradients: any f_b is made of these."""

    z: Array
    log_start: Array
    log_ratio: Array
    start_slope: Array
    ratio_slope: Array


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
    betas = _betas(num_temperatures)
    log_weight, _ = _forward(model, params, key, x, betas, num_chains, start, num_leapfrog, memory_mb)
    return _log_mean_exp(log_weight[..., -1])


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
    betas = _betas(num_temperatures)
    path_of = _paths(model, params, x, start, num_chains, num_leapfrog)
    pilot_key, chain_key = jax.random.split(key)
    room = _room(model, memory_mb)
    steps = _pilot_steps(path_of, pilot_key, len(x), betas, num_leapfrog, room)

    def one(args):
        key, row = args
        path = path_of(row)
        return _chain(path, key, _point(path, jnp.asarray(z)[row]), betas, steps[row], num_leapfrog, reverse=True)[0][
            -1
        ]

    return -_log_mean_exp(_map_chains(one, chain_key, len(x), num_chains, room))


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


def rate_distortion(
    model: Model,
    params: Params,
    key: Key,
    x: Array,
    num_temperatures: int = 500,
    num_chains: int = 16,
    max_beta: float = 10.0,
    num_points: int = 50,
    num_leapfrog: int = 10,
    memory_mb: float = 8.0,
) -> dict[str, Array]:
    """The rate-distortion curve of prior and decoder (Huang et al. 2020, arXiv:2008.06653, section 4).

    The distortion d is -log p(x|z), or the reconstruction loss of a likelihood that is no density. The latents that
    trade it best for rate have the density p(z) exp(-b d) / Z_b; AIS from the prior passes them all on its way to
    b = `max_beta`. Their distortion is the mean of d under the normalised weights, their rate KL(.|| p(z)) is
    -b distortion - log Z_b. Both are consistent as temperatures and chains grow; log Z_b comes from below, so that the
    rate tends to be too high.

    Returns:
      `beta` `[P]`, `rate` and `distortion` `[P]`: nats per example, means over x `[B, *data_shape]`. At b = 1,
      rate + distortion is the mean of -log p(x).

    Raises:
      UserError: latents outside R^n, no prior density, a `max_beta` that is not above 0, or a number below 1.
    """
    if not max_beta > 0:
        raise UserError(f"The rate-distortion curve got max_beta={max_beta}; it must be above 0.")
    if not 1 <= num_points <= num_temperatures:
        raise UserError(f"The rate-distortion curve got num_points={num_points}; take 1 to num_temperatures of them.")
    betas = max_beta * _betas(num_temperatures)
    log_weight, log_ratio = _forward(
        model, params, key, x, betas, num_chains, "prior", num_leapfrog, memory_mb, needs_density=False
    )
    kept = jnp.linspace(0, num_temperatures - 1, num_points).round().astype(int)
    log_weight, log_ratio, beta = log_weight[..., kept], log_ratio[..., kept], betas[1:][kept]
    distortion = -jnp.sum(jax.nn.softmax(log_weight, axis=0) * log_ratio, axis=0)  # [B, P]
    rate = -beta * distortion - _log_mean_exp(log_weight)
    return {"beta": beta, "rate": jnp.mean(rate, axis=0), "distortion": jnp.mean(distortion, axis=0)}


def _betas(num_temperatures: int) -> Array:
    """From 0 to 1, `[T + 1]`: a sigmoid from -4 to 4, which is slow at both ends (arXiv:1611.04273, section 5.1)."""
    if num_temperatures < 1:
        raise UserError(f"Annealed importance sampling got num_temperatures={num_temperatures}; it needs at least 1.")
    curve = jax.nn.sigmoid(jnp.linspace(-4.0, 4.0, num_temperatures + 1))
    return (curve - curve[0]) / (curve[-1] - curve[0])


def _paths(
    model: Model,
    params: Params,
    x: Array,
    start: str,
    num_chains: int,
    num_leapfrog: int,
    needs_density: bool = True,
) -> Callable[[Array], Path]:
    """The path of x[row], as a function of the row; refuses what has none."""
    for name, value in (("num_chains", num_chains), ("num_leapfrog", num_leapfrog)):
        if value < 1:
            raise UserError(f"Annealed importance sampling got {name}={value}; it needs at least 1.")
    if start not in STARTS:
        raise unknown("start of annealed importance sampling", start, STARTS)
    if model.posterior.space != EUCLIDEAN:
        raise UserError(
            f"Annealed importance sampling moves latents along gradients in R^n, and these live in "
            f"{model.posterior.space}: take importance_nll, or a model with a posterior in R^n."
        )
    if (needs_density and not model.likelihood.is_density) or (start == "posterior" and not model.posterior.is_density):
        raise UserError(
            "Annealed importance sampling of log p(x) needs a likelihood that is a density, and to start from the "
            "posterior one that is a density too: take start=prior, or train with another likelihood or posterior."
        )
    prior: Any = model.prior(params)
    try:
        jax.eval_shape(prior.log_prob, jnp.zeros(model.latent_shape))
    except NotImplementedError as error:
        raise UserError(
            "Annealed importance sampling needs log p(z), and this prior can only be sampled: take a prior with a "
            "density, 'standard_normal' for example."
        ) from error

    def path_of(row: Array) -> Path:
        one = jnp.asarray(x)[row]

        def log_likelihood(z: Array) -> Array:
            likelihood: Any = model.decode(params, z)
            return likelihood.log_prob(one)

        if start == "prior":
            return Path(prior.sample, prior.log_prob, log_likelihood)
        q: Any = model.encode(params, one)
        return Path(q.sample, q.log_prob, lambda z: log_likelihood(z) + prior.log_prob(z) - q.log_prob(z))

    return path_of


def _forward(
    model, params, key, x, betas, num_chains, start, num_leapfrog, memory_mb, needs_density=True
) -> tuple[Array, Array]:
    """The log-weights up to each temperature, and `log_ratio` at the point moved there: `[C, B, T]` both."""
    path_of = _paths(model, params, x, start, num_chains, num_leapfrog, needs_density)
    pilot_key, chain_key = jax.random.split(key)
    room = _room(model, memory_mb)
    steps = _pilot_steps(path_of, pilot_key, len(x), betas, num_leapfrog, room)

    def one(args):
        key, row = args
        start_key, key = jax.random.split(key)
        path = path_of(row)
        return _chain(path, key, _point(path, path.draw(start_key)), betas, steps[row], num_leapfrog)

    return _map_chains(one, chain_key, len(x), num_chains, room)


def _room(model: Model, memory_mb: float) -> int:
    """How many chains run at a time."""
    return max(1, int(memory_mb * 1e6 / (4 * math.prod(model.data_shape) * model.likelihood.outputs_per_value)))


def _map_chains(one: Callable, key: Key, batch: int, num_chains: int, room: int) -> Any:
    """`one((key, row))` for each chain, `[C, B, ...]`, at most `room` at a time."""
    keys, rows = jax.random.split(key, num_chains * batch), jnp.tile(jnp.arange(batch), num_chains)
    out = jax.lax.map(one, (keys, rows), batch_size=min(room, len(rows)))
    return jax.tree.map(lambda a: a.reshape(num_chains, batch, *a.shape[1:]), out)


def _pilot_steps(
    path_of: Callable[[Array], Path], key: Key, batch: int, betas: Array, num_leapfrog: int, room: int
) -> Array:
    """Step sizes `[B, T]` by which one chain for each example is accepted about as often as it should be."""

    def one(args):
        key, row = args
        path = path_of(row)
        start_key, key = jax.random.split(key)

        def move(carry, temperature):
            at, log_step = carry
            index, beta = temperature
            at, accepted = _move(path, jax.random.fold_in(key, index), at, beta, jnp.exp(log_step), num_leapfrog)
            return (at, log_step + GAIN * (accepted - ACCEPTANCE)), jnp.exp(log_step)

        first = _point(path, path.draw(start_key)), jnp.log(FIRST_STEP)
        return jax.lax.scan(move, first, (jnp.arange(len(betas) - 1), betas[1:]))[1]

    return _map_chains(one, key, batch, 1, room)[0]


def _chain(
    path: Path, key: Key, at: Point, betas: Array, steps: Array, num_leapfrog: int, reverse: bool = False
) -> tuple[Array, Array]:
    """The log-weights of one chain, added up, and its `log_ratio`, `[T]` each in the order in which it goes.

    Forwards it is weighed and then moves at the new temperature; the reverse of that is to move and then be weighed.
    """

    def step(carry, temperature):
        at, log_weight = carry
        index, before, beta, size = temperature
        if not reverse:
            log_weight = log_weight + (beta - before) * at.log_ratio
        at = _move(path, jax.random.fold_in(key, index), at, beta, size, num_leapfrog)[0]
        if reverse:
            log_weight = log_weight - (beta - before) * at.log_ratio
        return (at, log_weight), (log_weight, at.log_ratio)

    temperatures = jnp.arange(len(steps)), betas[:-1], betas[1:], steps
    if reverse:
        temperatures = jax.tree.map(jnp.flip, temperatures)
    return jax.lax.scan(step, (at, jnp.zeros(())), temperatures)[1]


def _point(path: Path, z: Array) -> Point:
    log_start, start_slope = jax.value_and_grad(path.log_start)(z)
    log_ratio, ratio_slope = jax.value_and_grad(path.log_ratio)(z)
    return Point(z, log_start, log_ratio, start_slope, ratio_slope)


def _move(path: Path, key: Key, at: Point, beta: Array, step: Array, num_leapfrog: int) -> tuple[Point, Array]:
    """One move of Hamiltonian Monte Carlo on f_beta, with a new momentum; and the probability that it was accepted."""
    momentum_key, accept_key = jax.random.split(key)
    force = jax.grad(lambda z: path.log_start(z) + beta * path.log_ratio(z))

    def leap(_, state):
        z, momentum = state
        z = z + step * momentum
        return z, momentum + step * force(z)

    first = jax.random.normal(momentum_key, at.z.shape)
    momentum = first + step / 2 * (at.start_slope + beta * at.ratio_slope)
    z, momentum = jax.lax.fori_loop(0, num_leapfrog - 1, leap, (at.z, momentum))
    end = _point(path, z + step * momentum)
    momentum = momentum + step / 2 * (end.start_slope + beta * end.ratio_slope)
    gain = end.log_start - at.log_start + beta * (end.log_ratio - at.log_ratio)
    gain = gain + jnp.sum(jnp.square(first) - jnp.square(momentum)) / 2
    probability = jnp.where(jnp.isnan(gain), 0.0, jnp.exp(jnp.minimum(gain, 0.0)))
    accepted = jax.random.uniform(accept_key) < probability
    return jax.tree.map(lambda new, old: jnp.where(accepted, new, old), end, at), probability


def _log_mean_exp(log_weight: Array) -> Array:
    return jax.nn.logsumexp(log_weight, axis=0) - jnp.log(len(log_weight))
