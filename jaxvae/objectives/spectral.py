"""Spectral normalisation: divide kernels by their largest singular value."""

from functools import partial

import jax
import jax.numpy as jnp

from jaxvae.common.types import Array, Key, Params, Tree
from jaxvae.objectives.base import Transform

TINY = 1e-12
product = partial(jnp.matmul, precision="highest")


def spectral_normalisation(part: str = "") -> Transform:
    """Divide each kernel of `params[part]` by its largest singular value (arXiv:1802.05957, equation 8).

    Without a `part`, each kernel of all parameters. A kernel is an array of two or more axes, viewed as the matrix
    `[all but the last axis, last axis]`. Each use makes one step of the power iteration, from a vector in the state
    (algorithm 1).
    """

    def init(key: Key, params: Params) -> Tree:
        leaves = jax.tree.leaves(params[part] if part else params)
        keys = jax.random.split(key, len(leaves))
        sizes = {i: leaf.shape[-1:] for i, leaf in enumerate(leaves) if leaf.ndim > 1}
        return {str(i): _unit(jax.random.normal(keys[i], size)) for i, size in sizes.items()}

    def apply(params: Params, state: Tree) -> tuple[Params, Tree]:
        leaves, structure = jax.tree.flatten(params[part] if part else params)
        following = {}
        for index, vector in state.items():
            kernel = leaves[int(index)]
            matrix = kernel.reshape(-1, kernel.shape[-1])
            # The gradient passes through sigma = u'W v but not through u and v, in which sigma is stationary.
            fixed = jax.lax.stop_gradient(matrix)
            left = _unit(product(fixed, vector))
            following[index] = _unit(product(left, fixed))
            leaves[int(index)] = kernel / jnp.maximum(product(product(left, matrix), following[index]), TINY)
        normalised = structure.unflatten(leaves)
        return {**params, part: normalised} if part else normalised, following

    return Transform(init, apply)


def _unit(vector: Array) -> Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), TINY)
