"""Preprocessing of stored values for the model, as pure functions."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.types import Array, Key

BINARIZATIONS = ("none", "threshold", "dynamic", "static")
PIXEL_RANGES = ((0.0, 1.0), (-1.0, 1.0), ())  # () keeps the stored values
STATIC_SEED = 1  # one fixed draw: "static" is part of the data, not of a run


def binarize(x: np.ndarray, max_value: float, mode: str) -> tuple[np.ndarray, float]:
    """Binarise once, on the host; return the values and their new maximum.

    Args:
      x: `[N, ...]` in [0, max_value].
      max_value: the largest possible value of x.
      mode: "threshold" (1 where x >= max_value / 2), "static" (one Bernoulli draw with mean x / max_value, the same
        in every run); "none" and "dynamic" leave x unchanged.
    """
    if mode not in BINARIZATIONS:
        raise unknown("data.binarization", mode, BINARIZATIONS)
    if mode == "threshold":
        return (x >= max_value / 2).astype(np.uint8), 1.0
    if mode == "static":
        rng = np.random.Generator(np.random.PCG64(STATIC_SEED))
        drawn = np.empty(x.shape, np.uint8)
        for i in range(0, len(x), 4096):  # in slices: a draw takes 4 bytes per value
            part = x[i : i + 4096]
            drawn[i : i + 4096] = rng.random(part.shape, np.float32) * max_value < part
        return drawn, 1.0
    return x, max_value


def make_preprocess(
    max_value: float,
    binarization: str,
    pixel_range: tuple[float, ...],
    shift: tuple[float, ...] = (),
    scale: tuple[float, ...] = (),
    bounds: tuple[float, ...] = (),
) -> Callable[[Key, Array], Array]:
    """Make `(key, stored values [..., *shape]) -> float32`; "dynamic" draws again each time.

    Args:
      max_value: greatest stored value; values in [0, max_value] are mapped to `pixel_range`.
      binarization: as in `binarize`, or "dynamic".
      pixel_range: [0, 1], [-1, 1], or () for the values as stored.
      shift: with `scale`, the values are (x - shift) / scale over the last axis instead; () for none.
      scale: see `shift`.
      bounds: clip the scaled values to this interval; () for none.

    Raises:
      UserError: the range is not [0, 1], [-1, 1] or (), the values as stored.
    """
    if tuple(pixel_range) not in PIXEL_RANGES:
        raise UserError(
            f"data.pixel_range is {pixel_range}; it can be (0.0, 1.0), (-1.0, 1.0), or () for the values as stored."
        )

    def scaled(key: Key, raw: Array) -> Array:
        del key
        over_last = (1,) * (raw.ndim - 1) + (-1,)
        low, spread = (np.asarray(each, np.float32).reshape(over_last) for each in (shift, scale))
        x = (raw.astype(jnp.float32) - low) / spread
        return jnp.clip(x, *bounds) if bounds else x

    if scale:
        return scaled

    def preprocess(key: Key, raw: Array) -> Array:
        x = raw.astype(jnp.float32)
        if binarization == "dynamic":
            x = jax.random.bernoulli(key, x / max_value).astype(jnp.float32)
        if not pixel_range:
            return x
        low, high = pixel_range
        return low + (high - low) * (x if binarization == "dynamic" else x / max_value)

    return preprocess


def to_unit_range(x: Any, pixel_range: tuple[float, ...]) -> Any:
    """Map `pixel_range` to [0, 1], clipped, for pictures."""
    low, high = pixel_range
    return ((x - low) / (high - low)).clip(0.0, 1.0)
