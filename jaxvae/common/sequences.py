"""What a sequence is: tokens `[..., T]` or frames `[..., T, D]`, with -1 as padding at the end."""

import jax.numpy as jnp

from jaxvae.common.types import Array

END = 0  # the token that closes a sentence
PADDING = -1


def is_present(x: Array, event_ndim: int) -> Array:
    """Which steps `[..., T]` of x are no padding; `event_ndim` is 1 for tokens, 2 for frames."""
    return (x if event_ndim == 1 else x[..., 0]) > PADDING


def shifted(x: Array) -> Array:
    """What stands one step before in x `[N, T, ...]`; padding before the first."""
    return jnp.concatenate([jnp.full_like(x[:, :1], PADDING), x[:, :-1]], axis=1)
