"""A fault of one XLA version, and how to go round it before JAX is first used. Imports no JAX."""

import os
from importlib.metadata import version

FLAG = "--xla_cpu_experimental_ynn_fusion_type"


def avoid_wrong_sums() -> None:
    """Sets XLA_FLAGS so that jaxlib 0.10 on CPU adds up rightly; does nothing elsewhere. Call it before JAX is used.

    Its library kernels for sums give wrong numbers, unsaid, in some ordinary programs: the gradient of
    `jnp.sum(jnp.exp(jnp.sum(m * (jnp.cos(t)[:, None] * l + jnp.sin(t)[:, None] * x), -1)))` by t `[10000]`, with x
    `[10000, 10]`, is off by a factor of ten. Those for matrix products are sound, and stay.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if version("jaxlib").startswith("0.10.") and FLAG not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {FLAG}=LIBRARY_FUSION_TYPE_DOT".strip()
