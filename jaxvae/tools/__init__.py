"""What one can do in a latent space, as modes of a trained run: `--mode=tool --config.tool=NAME`."""

import inspect
from collections.abc import Mapping
from typing import Any

from jaxvae.tools.base import Outcome
from jaxvae.tools.repair import denoise, impute, search
from jaxvae.tools.walks import analogy, attribute, interpolate, traverse

TOOLS = {
    tool.__name__: tool for tool in (analogy, attribute, denoise, impute, interpolate, search, traverse)
}  # fmt: skip


def resolved(spec: Mapping[str, Any]) -> dict[str, Any]:
    """`{"name": ..., **options}` of a tool of TOOLS with all its options, those that `spec` lacks at their defaults."""
    options = inspect.signature(TOOLS[spec["name"]]).parameters.values()
    defaults = {option.name: option.default for option in options if option.default is not option.empty}
    return {"name": spec["name"], **defaults, **spec}


__all__ = ["TOOLS", "Outcome", "resolved"]
