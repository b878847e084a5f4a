"""Load a run from its folder."""

import os
from pathlib import Path
from typing import Any

from jaxvae.api.run import Run
from jaxvae.runs.log import read_metrics
from jaxvae.runs.recorder import saved_seconds
from jaxvae.runs.restore import restore_run
from jaxvae.runs.workdir import read_results


def load(folder: str | os.PathLike, checkpoint: str = "best", data: Any = None, **objects: Any) -> Run:
    """Load a run from its folder, wherever that was moved; no code in it is executed.

    Args:
      folder: of the run.
      checkpoint: "best" by `train.select`, "last", or a step.
      data: where evaluation needs the run's data and finds it no more at its former path: as for `jaxvae.fit`.
      objects: parts that were given as built Python objects, as for `jaxvae.fit`; also functions that are not found
        by their name any more, those of another script or notebook.

    Raises:
      UserError: the folder holds no run, or one with a part that must be handed over.
    """
    paths = {name.replace("__", "."): part for name, part in objects.items()}
    restored = restore_run(folder, checkpoint, paths)
    timing = saved_seconds({**restored.info, **read_results(Path(folder))})
    return Run(restored, read_metrics(Path(folder)), Path(folder), data=data, objects=paths, timing=timing)
