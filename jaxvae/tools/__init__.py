"""Apply tools to the latent space of a trained run: `--mode=tool --config.tool=NAME`."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jaxvae.experiment.parts import part
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.tools.base import Outcome
from jaxvae.tools.classes import classify
from jaxvae.tools.clusters import clusters
from jaxvae.tools.imputation import impute
from jaxvae.tools.repair import denoise, search
from jaxvae.tools.transfer import transfer, transform
from jaxvae.tools.walks import analogy, attribute, interpolate, traverse

TOOLS = {
    tool.__name__: tool
    for tool in (
        analogy, attribute, classify, clusters, denoise, impute, interpolate, search, transfer, transform, traverse,
    )
}  # fmt: skip


def find(spec: Mapping[str, Any], run: TrainedRun | None = None) -> Callable[..., Outcome]:
    """Bind the options and the run of the tool `{"name": ..., **options}`.

    Raises:
      UserError: as `experiment.parts.part`.
    """
    return part("tool", spec, {"run": run}, {"tool": TOOLS}, {"jaxvae.tools.Outcome": Outcome})


def resolved(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Complete `{"name": ..., **options}` of a tool with the defaults of options that `spec` lacks."""
    options = inspect.signature(find(spec)).parameters.values()
    defaults = {option.name: option.default for option in options if option.default is not option.empty}
    return {"name": spec["name"], **{key: value for key, value in defaults.items() if key != "run"}, **spec}


__all__ = ["TOOLS", "Outcome", "find", "resolved"]
