"""Distances between two distributions, from samples of both."""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from jax import Array

from jaxvae.losses.arrays import floats

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

# `(|x - y|^2, c)` to k(x, y), where c is the mean of |x - y|^2 for two draws from the prior
KERNELS: dict[str, Callable[[Array, float], Array]] = {
    "rbf": lambda squared, c: jnp.exp(-squared / c),
    "imq": lambda squared, c: sum((s * c / (s * c + squared) for s in SCALES), jnp.zeros(())),
}


def mmd(x: Array, y: Array, kernel: str = "imq", variance: float = 1.0) -> Array:
    """Squared maximum mean discrepancy of two distributions from samples: unbiased, so it can be below 0.

    Args:
      x: `[N, D]` with N >= 2.
      y: `[M, D]` with M >= 2.
      kernel: with c = 2 D variance, the mean squared distance of two draws from N(0, variance I): "rbf" is
        exp(-|x - y|^2 / c); "imq" the sum of s c / (s c + |x - y|^2) over seven scales s from 0.1 to 10.
      variance: the bandwidth, as the variance of the prior in each dimension.

    Returns:
      `[]`, the U-statistic of arXiv:1711.01558, algorithm 2 (without its weight).

    Raises:
      AssertionError: the shapes do not fit.
      ValueError: an unknown kernel, fewer than 2 samples, integers.
    """
    x, y = floats(x=x, y=y)
    if kernel not in KERNELS:
        raise ValueError(f"Unknown kernel '{kernel}'; known: {', '.join(KERNELS)}.")
    chex.assert_rank([x, y], 2)
    chex.assert_equal_shape_suffix([x, y], 1)
    if min(len(x), len(y)) < 2:
        raise ValueError("The discrepancy of two distributions needs at least 2 samples of each: take a larger batch.")

    def similarity(a: Array, b: Array) -> Array:
        products = jnp.matmul(a, b.T, precision="highest")
        squared = jnp.sum(a * a, axis=-1)[:, None] + jnp.sum(b * b, axis=-1)[None] - 2 * products
        return KERNELS[kernel](jnp.maximum(squared, 0), 2 * x.shape[-1] * variance)

    def within(a: Array) -> Array:
        pairs = jnp.where(jnp.eye(len(a), dtype=bool), 0.0, similarity(a, a))
        return jnp.sum(pairs) / (len(a) * (len(a) - 1))

    return within(x) + within(y) - 2 * jnp.mean(similarity(x, y))


def sliced_wasserstein(key: Array, x: Array, y: Array, num: int = 50) -> Array:
    """Mean squared Wasserstein-2 distance of the projections of two samples on `num` random directions.

    Args:
      key: typed key of the directions, which are uniform on the unit sphere of R^D.
      x: `[N, D]`.
      y: `[N, D]`, as many.
      num: directions.

    Returns:
      `[]` (Kolouri et al. 2018, arXiv:1804.01947). It has no bias from the directions, but a positive one
      from N: sorted samples of equal distributions still differ.

    Raises:
      AssertionError: the shapes differ.
      ValueError: integers, or `num` below 1.
    """
    x, y = floats(x=x, y=y)
    chex.assert_rank(x, 2)
    chex.assert_equal_shape([x, y])
    if num < 1:
        raise ValueError(f"`num` is {num}; at least 1 direction is needed.")
    directions = jax.random.normal(key, (x.shape[-1], num))
    directions = directions / jnp.linalg.norm(directions, axis=0, keepdims=True)

    def sorted_projections(points: Array) -> Array:
        return jnp.sort(jnp.matmul(points, directions, precision="highest"), axis=0)

    return jnp.mean(jnp.square(sorted_projections(x) - sorted_projections(y)))
