"""Sequences: tokens `[..., T]` or frames `[..., T, D]`, padded with -1 at the end."""

import jax.numpy as jnp

from jaxvae.common.types import Array

END = 0  # the token that ends a sentence
PADDING = -1


def is_present(x: Array, event_ndim: int) -> Array:
    """Return the mask `[..., T]` of steps of x that are not padding; `event_ndim` is 1 for tokens, 2 for frames."""
    return (x if event_ndim == 1 else x[..., 0]) > PADDING


def shifted(x: Array) -> Array:
    """Shift x `[N, T, ...]` by one step, with padding before the first."""
    return jnp.concatenate([jnp.full_like(x[:, :1], PADDING), x[:, :-1]], axis=1)
