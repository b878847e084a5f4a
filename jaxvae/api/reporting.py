"""Write the report of a run, see `Run.report`."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxvae.common.errors import UserError
from jaxvae.report import outputs
from jaxvae.runs.storage import Weights, is_there
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.runs.weights_file import is_exported


def reported(
    run: Any,
    checkpoint: Weights,
    trained: Callable[[], TrainedRun],
    folder: str | os.PathLike | None,
    timing: Mapping[str, Any],
) -> Path:
    """Save a `Run` to a folder unless it is there, write its report, and return the path of the page.

    Args:
      run: the run.
      checkpoint: its weights.
      trained: returns it with its data.
      folder: to write to; None for the run's own.
      timing: the duration of training in seconds, for `results.json`.

    Raises:
      UserError: a run in memory, or of exported weights, without a folder.
    """
    workdir = run.workdir if folder is None else Path(folder)
    if workdir is None or (folder is None and is_exported(workdir)):
        where = "is in memory" if workdir is None else "has exported weights alone"
        raise UserError(f"This run {where}: give report(folder), where it is saved with its report.")
    if run.workdir is None or not is_there(run.workdir, workdir, checkpoint):
        run.save(workdir)
    outputs.finish(trained(), workdir, timing)
    return workdir / "report.html"
