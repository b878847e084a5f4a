"""Export a run in one of the formats."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jaxvae.api.export import programs, weights
from jaxvae.common.errors import UserError, unknown
from jaxvae.runs.restore import Restored
from jaxvae.runs.storage import require_empty
from jaxvae.runs.trained_run import TrainedRun

FORMATS = (*programs.PARTS, "safetensors")


def exported(
    run: Any,
    restored: Restored,
    trained: Callable[[], TrainedRun],
    folder: str | os.PathLike,
    format: str,
    parts: Sequence[str],
    license: str,
) -> list[Path]:
    """Export a run and return the files written.

    Args:
      run: a `Run`.
      restored: its checkpoint.
      trained: returns it with its data.
      folder: to write to, new or empty.
      format: "safetensors", weights with a model card, which `jaxvae.load` reads; "stablehlo" or "onnx", programs.
      parts: of a program, "encoder", "decoder", "sampler"; by default all that the format takes.
      license: of the weights, for the card: "apache-2.0".

    Raises:
      UserError: an unknown format or part, the folder is not empty, a package is missing, or a part cannot be converted
        to ONNX; then nothing is left in the folder.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    place = Path(folder)
    require_empty(place)
    place.mkdir(parents=True, exist_ok=True)
    if format == "safetensors":
        return weights.write(run, restored, trained, place, license)
    try:
        return programs.write(run.model, run.params, run.config, run.spec, place, format, parts)
    except UserError:
        shutil.rmtree(place)
        raise
