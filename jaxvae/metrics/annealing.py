"""Annealed importance sampling chains with Hamiltonian Monte Carlo (HMC) transitions.

The densities f_b(z) = s(z)^(1 - b) p(x, z)^b lead from a start density s to p(x, z), as b goes from 0 to 1. Each
transition of a chain leaves its f_b invariant. The weight of the chain is the product of the ratios of neighbouring f_b
at its points; the mean of the weight is p(x) (Wu et al. 2017, arXiv:1611.04273, section 3).

That mean is exact only if the step sizes do not depend on the history of the chain. So a pilot chain per example adapts
the step sizes to its own acceptance rates, and the weighted chains use the step sizes of the pilot.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key

FIRST_STEP, GAIN, ACCEPTANCE = 0.1, 0.1, 0.65  # of the pilot; 0.65 is HMC's optimal rate (arXiv:1001.4460)


class Path(NamedTuple):
    """Densities from the start s(z) to p(x, z) of one x, as functions of one z `[*latent_shape]`.

    Attributes:
      draw: `key -> z`, a sample of s.
      log_start: `z -> log s(z)`.
      log_ratio: `z -> log p(x, z) - log s(z)`; log p(x|z) where s is the prior.
    """

    draw: Callable[[Key], Array]
    log_start: Callable[[Array], Array]
    log_ratio: Callable[[Array], Array]


class Point(NamedTuple):
    """A point z with the path's two log-functions and their gradients at z; log f_b is a combination of these."""

    z: Array
    log_start: Array
    log_ratio: Array
    start_slope: Array
    ratio_slope: Array


def temperatures(num: int) -> Array:
    """Space b from 0 to 1, `[num + 1]`: a sigmoid from -4 to 4, dense at both ends (arXiv:1611.04273, section 5.1).

    Raises:
      UserError: `num` is below 1.
    """
    if num < 1:
        raise UserError(f"Annealed importance sampling got num_temperatures={num}; it needs at least 1.")
    curve = jax.nn.sigmoid(jnp.linspace(-4.0, 4.0, num + 1))
    return (curve - curve[0]) / (curve[-1] - curve[0])


class Examples(NamedTuple):
    """The examples of a batch for which chains run; those of one are the same whichever others run beside them.

    Attributes:
      batch: size B of the whole batch.
      rows: `[R]`, indices of the examples in it.
    """

    batch: int
    rows: Array

    @staticmethod
    def of(x: Array, rows: Array | None) -> "Examples":
        """Return the examples `rows` of x `[B, ...]`, all where None."""
        return Examples(len(x), jnp.arange(len(x)) if rows is None else rows)


def map_chains(one: Callable, key: Key, examples: Examples, num_chains: int, room: int) -> Any:
    """Map `one((key, row, place in the rows))` over all chains, at most `room` at a time: `[C, R, ...]`."""
    batch, rows = examples
    places = jnp.tile(jnp.arange(len(rows)), num_chains)
    keys = jax.random.split(key, num_chains * batch).reshape(num_chains, batch)[:, rows].reshape(-1)
    out = jax.lax.map(one, (keys, rows[places], places), batch_size=min(room, len(places)))
    return jax.tree.map(lambda a: a.reshape(num_chains, len(rows), *a.shape[1:]), out)


def pilot_steps(
    path_of: Callable[[Array], Path], key: Key, examples: Examples, betas: Array, num_leapfrog: int, room: int
) -> Array:
    """Adapt step sizes `[R, T]` with one pilot chain per example, towards the acceptance rate ACCEPTANCE."""

    def one(args):
        key, row, _ = args
        path = path_of(row)
        start_key, key = jax.random.split(key)

        def move_and_adapt(carry, temperature):
            at, log_step = carry
            index, beta = temperature
            at, accepted = move(path, jax.random.fold_in(key, index), at, beta, jnp.exp(log_step), num_leapfrog)
            return (at, log_step + GAIN * (accepted - ACCEPTANCE)), jnp.exp(log_step)

        first = point(path, path.draw(start_key)), jnp.log(FIRST_STEP)
        return jax.lax.scan(move_and_adapt, first, (jnp.arange(len(betas) - 1), betas[1:]))[1]

    return map_chains(one, key, examples, 1, room)[0]


def chain(
    path: Path, key: Key, at: Point, betas: Array, steps: Array, num_leapfrog: int, reverse: bool = False
) -> tuple[Array, Array]:
    """Run one chain: its cumulative log-weights and its `log_ratio`, `[T]` each, in the order of the chain.

    A forward chain updates its weight, then moves at the new temperature; a reverse chain moves first.
    """

    def step(carry, temperature):
        at, log_weight = carry
        index, before, beta, size = temperature
        if not reverse:
            log_weight = log_weight + (beta - before) * at.log_ratio
        at = move(path, jax.random.fold_in(key, index), at, beta, size, num_leapfrog)[0]
        if reverse:
            log_weight = log_weight - (beta - before) * at.log_ratio
        return (at, log_weight), (log_weight, at.log_ratio)

    along = jnp.arange(len(steps)), betas[:-1], betas[1:], steps
    if reverse:
        along = jax.tree.map(jnp.flip, along)
    return jax.lax.scan(step, (at, jnp.zeros(())), along)[1]


def point(path: Path, z: Array) -> Point:
    """Evaluate the path's functions and their gradients at `z`."""
    log_start, start_slope = jax.value_and_grad(path.log_start)(z)
    log_ratio, ratio_slope = jax.value_and_grad(path.log_ratio)(z)
    return Point(z, log_start, log_ratio, start_slope, ratio_slope)


def move(path: Path, key: Key, at: Point, beta: Array, step: Array, num_leapfrog: int) -> tuple[Point, Array]:
    """Make one HMC transition on f_beta with a new momentum: the next point, and the acceptance probability."""
    momentum_key, accept_key = jax.random.split(key)
    force = jax.grad(lambda z: path.log_start(z) + beta * path.log_ratio(z))

    def leap(_, state):
        z, momentum = state
        z = z + step * momentum
        return z, momentum + step * force(z)

    first = jax.random.normal(momentum_key, at.z.shape)
    momentum = first + step / 2 * (at.start_slope + beta * at.ratio_slope)
    z, momentum = jax.lax.fori_loop(0, num_leapfrog - 1, leap, (at.z, momentum))
    end = point(path, z + step * momentum)
    momentum = momentum + step / 2 * (end.start_slope + beta * end.ratio_slope)
    gain = end.log_start - at.log_start + beta * (end.log_ratio - at.log_ratio)
    gain = gain + jnp.sum(jnp.square(first) - jnp.square(momentum)) / 2
    probability = jnp.where(jnp.isnan(gain), 0.0, jnp.exp(jnp.minimum(gain, 0.0)))
    accepted = jax.random.uniform(accept_key) < probability
    return jax.tree.map(lambda new, old: jnp.where(accepted, new, old), end, at), probability


def log_mean_exp(log_weight: Array) -> Array:
    """Logarithm of the mean weight over chains, from log-weights `[C, ...]`."""
    return jax.nn.logsumexp(log_weight, axis=0) - jnp.log(len(log_weight))
