"""The few types that every room shares."""

from typing import Any

import jax
from numpyro.distributions import Distribution

__all__ = ["Array", "Distribution", "Key", "Params", "Tree"]

Array = jax.Array
Key = jax.Array  # a typed key, `jax.random.key(seed)`
Tree = Any  # a pytree of arrays
Params = Any  # a pytree of arrays that gradients own
