"""Elementwise functions with finite gradients."""

import jax.numpy as jnp

from jaxvae.common.types import Array
from jaxvae.losses import softplus


def log_softplus(x: Array) -> Array:
    """Logarithm of softplus(x), also where softplus(x) underflows."""
    near = jnp.maximum(x, -10.0)
    return jnp.where(x < -10.0, x - 0.5 * jnp.exp(jnp.minimum(x, 0.0)), jnp.log(softplus(near)))
