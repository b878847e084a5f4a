"""Border of every loss: checks of dtypes, and the sum over all axes but the batch."""

from typing import Any

import chex
import jax.numpy as jnp
from jax import Array


def floats(**arrays: Any) -> list[Array]:
    """Cast arrays to at least float32, so that sums over many values keep their digits; Python numbers pass.

    Raises:
      ValueError: an array of integers (whose differences and squares would wrap) or complex numbers.
    """
    cast = []
    for name, array in arrays.items():
        array = jnp.asarray(array)
        if array.ndim and not (jnp.issubdtype(array.dtype, jnp.floating) or array.dtype == bool):
            raise ValueError(
                f"`{name}` has dtype {array.dtype}, but this loss needs floats: convert it first (bytes in [0, 255], "
                "for example, by x / 255)."
            )
        cast.extend(wide(array))
    return cast


def counts(x: Any) -> Array:
    """Cast counts, integers or floats, to at least float32.

    Raises:
      ValueError: complex numbers.
    """
    x = jnp.asarray(x)
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise ValueError(f"`x` has dtype {x.dtype}, but counts are integers or floats.")
    return wide(x)[0]


def indices(name: str, x: Any) -> Array:
    """Check that `x` holds integers.

    Raises:
      ValueError: it does not.
    """
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise ValueError(f"`{name}` has dtype {x.dtype}, but categories are integers from 0: use x.astype(int).")
    return x


def sum_per_example(x: Array) -> Array:
    """Sum `[B, ...]` over all axes but the first; `[B]`."""
    chex.assert_scalar_positive(x.ndim)  # a batch axis
    return jnp.sum(x, axis=tuple(range(1, x.ndim)))


def wide(*arrays: Any) -> list[Array]:
    """Cast arrays, integers and booleans too, to at least float32; for elementwise functions."""
    return [_at_least_float32(jnp.asarray(array)) for array in arrays]


def _at_least_float32(x: Array) -> Array:
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return x.astype(float)  # float64 where it is switched on
    return x if x.dtype.itemsize >= 4 else x.astype(jnp.float32)
