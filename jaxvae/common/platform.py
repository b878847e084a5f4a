"""Workaround for a bug of one XLA version, to apply before JAX is first used. Imports no JAX."""

import os
from importlib.metadata import version

FLAG = "--xla_cpu_experimental_ynn_fusion_type"


def avoid_wrong_sums() -> None:
    """Set XLA_FLAGS so that sums of jaxlib 0.10 on CPU are right; other versions are unchanged. Call it before JAX.

    Its library kernels for sums silently give wrong numbers in some ordinary programs: the gradient of
    `jnp.sum(jnp.exp(jnp.sum(m * (jnp.cos(t)[:, None] * l + jnp.sin(t)[:, None] * x), -1)))` by t `[10000]`, with x
    `[10000, 10]`, is off by a factor of ten. The kernels for matrix products are right, and stay in use.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if version("jaxlib").startswith("0.10.") and FLAG not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {FLAG}=LIBRARY_FUSION_TYPE_DOT".strip()
