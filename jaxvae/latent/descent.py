"""Minimise a loss over many points at once, keeping the best iterate of each."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxvae.common.types import Array


def descend(loss: Callable[[Array], Array], start: Array, steps: int, learning_rate: float) -> Array:
    """Run Adam from `start` and return the best iterates `[B, ...]`; `loss(points) -> [B]` is per row.

    The learning rate decays to 0 by a cosine. A row whose loss becomes NaN keeps its best iterate.
    """
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, max(steps, 1)))

    def total(points: Array) -> tuple[Array, Array]:
        values = loss(points)
        return jnp.sum(values), values

    def keep(best: tuple[Array, Array], points: Array, values: Array) -> tuple[Array, Array]:
        better = (values < best[1]).reshape(-1, *[1] * (points.ndim - 1))
        return jnp.where(better, points, best[0]), jnp.fmin(values, best[1])

    def step(carry: Any, _: None) -> tuple[Any, None]:
        points, state, best = carry
        gradient, values = jax.grad(total, has_aux=True)(points)
        updates, state = optimizer.update(gradient, state)
        return (points + updates, state, keep(best, points, values)), None

    carry = start, optimizer.init(start), (start, jnp.full(len(start), jnp.inf))
    (points, _, best), _ = jax.lax.scan(step, carry, None, length=steps)
    return keep(best, points, loss(points))[0]
