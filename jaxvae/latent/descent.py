"""An optimiser of many points at once that keeps the best of each."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxvae.common.types import Array


def descend(loss: Callable[[Array], Array], start: Array, steps: int, learning_rate: float) -> Array:
    """The best points `[B, ...]` that Adam meets from `start`; `loss(points) -> [B]`, each row's by itself.

    The learning rate falls to 0 by a cosine. A row whose loss is NaN stays where it was best.
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
