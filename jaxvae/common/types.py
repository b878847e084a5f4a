"""Types shared by all rooms."""

from typing import Any

import jax
from numpyro.distributions import Distribution

__all__ = ["Array", "Distribution", "Key", "Params", "Tree", "no_params"]

Array = jax.Array
Key = jax.Array  # a typed key, `jax.random.key(seed)`
Tree = Any  # a pytree of arrays
Params = Any  # a pytree of arrays that gradients own


def no_params(key: Key) -> Params:
    """`init` of a part without parameters."""
    del key
    return {}
