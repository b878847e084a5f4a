"""Penalties of autoencoders: codebook losses, Jacobians, norms of latents and weights."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxvae.losses.arrays import floats, sum_per_example


def codebook_loss(inputs: Array, codes: Array) -> Array:
    """|sg(z_e) - e|^2, which moves the codebook to the encoder's outputs.

    Args:
      inputs: `[B, ...]`, the encoder's outputs z_e, which get no gradient.
      codes: `[B, ...]`, the row of the codebook chosen for each, e.

    Returns:
      `[B]` (van den Oord et al. 2017, arXiv:1711.00937, equation 3, second term).

    Raises:
      AssertionError: the shapes differ.
      ValueError: integers: `codes` are vectors, not their indices.
    """
    inputs, codes = floats(inputs=inputs, codes=codes)
    chex.assert_equal_shape([inputs, codes])
    return sum_per_example(jnp.square(lax.stop_gradient(inputs) - codes))


def commitment_loss(inputs: Array, codes: Array) -> Array:
    """|z_e - sg(e)|^2, which holds the encoder's outputs near their codes; the paper's weight is 0.25.

    Args:
      inputs: `[B, ...]`, the encoder's outputs z_e.
      codes: `[B, ...]`, the row of the codebook chosen for each, e, which get no gradient.

    Returns:
      `[B]` (van den Oord et al. 2017, arXiv:1711.00937, equation 3, third term without its weight).

    Raises:
      AssertionError: the shapes differ.
      ValueError: integers: `codes` are vectors, not their indices.
    """
    inputs, codes = floats(inputs=inputs, codes=codes)
    chex.assert_equal_shape([inputs, codes])
    return sum_per_example(jnp.square(inputs - lax.stop_gradient(codes)))


def squared_jacobian(function: Callable[[Array], Array], x: Array) -> Array:
    """Squared Frobenius norm of the Jacobian of `function`, at the cost of one backward pass per output.

    The contractive penalty, where `function` is the encoder (Rifai et al. 2011, "Contractive auto-encoders", equation
    6).

    Args:
      function: maps x `[B, ...]` to `[B, ...]`, row by row.
      x: `[B, ...]` floats.

    Returns:
      `[B]`.

    Raises:
      ValueError: integers.
    """
    (x,) = floats(x=x)
    value, pullback = jax.vjp(function, x)
    size = value[0].size
    # each cotangent picks one output of every example: rows do not depend on each other
    picks = jnp.eye(size, dtype=value.dtype).reshape(size, 1, *value.shape[1:])
    rows = jax.vmap(pullback)(jnp.broadcast_to(picks, (size, *value.shape)))[0]
    return jnp.sum(jnp.square(rows), axis=(0, *range(2, rows.ndim)))


def projected_jacobian(function: Callable[[Array], Array], x: Array, direction: Array) -> Array:
    """|J v|^2 with the Jacobian J of `function` at x, at the cost of one forward pass.

    With v ~ N(0, I) an unbiased estimate of `squared_jacobian`; of the decoder it is the gradient penalty of a
    regularised autoencoder (Ghosh et al. 2019, arXiv:1903.12436, section 3.1).

    Args:
      function: maps x `[B, ...]` to `[B, ...]`, row by row.
      x: `[B, ...]` floats.
      direction: v, of the shape of x.

    Returns:
      `[B]`.

    Raises:
      AssertionError: the shapes of `x` and `direction` differ.
      ValueError: integers.
    """
    x, direction = floats(x=x, direction=direction)
    chex.assert_equal_shape([x, direction])
    (slope,) = floats(function=jax.jvp(function, (x,), (direction,))[1])
    return sum_per_example(jnp.square(slope))


def half_squared_norm(z: Array) -> Array:
    """|z|^2 / 2 per example: z `[B, ...]` to `[B]`, -log N(z; 0, I) without its constant.

    The latent penalty of a regularised autoencoder (Ghosh et al. 2019, arXiv:1903.12436, section 3).

    Raises:
      ValueError: integers.
    """
    (z,) = floats(z=z)
    return 0.5 * sum_per_example(jnp.square(z))


def squared_weights(params: Any) -> Array:
    """Sum of squares `[]` of all arrays of a pytree: weight decay as a loss.

    The decoder penalty "RAE-L2" (Ghosh et al. 2019, arXiv:1903.12436, section 3.1).

    Raises:
      ValueError: integers.
    """
    leaves = [floats(params=leaf)[0] for leaf in jax.tree.leaves(params)]
    return sum((jnp.sum(jnp.square(leaf)) for leaf in leaves), jnp.zeros(()))
