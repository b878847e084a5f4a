"""Load a run from its folder."""

import os
from pathlib import Path
from typing import Any

from jaxvae.api.export import hub
from jaxvae.api.run import Run
from jaxvae.common.errors import unknown
from jaxvae.runs.log import read_metrics
from jaxvae.runs.recorder import saved_seconds
from jaxvae.runs.restore import restore_run
from jaxvae.runs.weights_file import NAME
from jaxvae.runs.workdir import read_results

ZOO = Path(__file__).parents[1] / "zoo"


def load(folder: str | os.PathLike, checkpoint: str = "best", data: Any = None, **objects: Any) -> Run:
    """Load a run from its folder, wherever that was moved; no code in it is executed.

    Args:
      folder: of the run, or of exported weights; "zoo/vae-digits", a model that comes with jaxvae (see docs/zoo.md);
        "hf://OWNER/NAME", one on the Hugging Face hub.
      checkpoint: "best" by `train.select`, "last", or a step.
      data: where evaluation needs the run's data and finds it no more at its former path: as for `jaxvae.fit`.
      objects: parts that were given as built Python objects, as for `jaxvae.fit`; also functions that are not found
        by their name any more, those of another script or notebook.

    Raises:
      UserError: the folder holds no run, or one with a part that must be handed over.
    """
    place = located(folder)
    paths = {name.replace("__", "."): part for name, part in objects.items()}
    restored = restore_run(place, checkpoint, paths)
    timing = saved_seconds({**restored.info, **read_results(place)})
    return Run(restored, read_metrics(place), place, data=data, objects=paths, timing=timing)


def located(folder: str | os.PathLike) -> Path:
    """Return the folder of a run; of a model of the zoo or of the hub that where its files are.

    A folder of this path goes before a model of the zoo.

    Raises:
      UserError: there is no such model.
    """
    address = str(folder)
    if address.startswith(hub.SCHEME):
        return hub.download(address)
    if not address.startswith("zoo/") or Path(folder).exists():
        return Path(folder)
    name = address.removeprefix("zoo/").rstrip("/")
    if name not in (known := zoo()):
        raise unknown("model of the zoo", name, known)
    return known[name]


def zoo() -> dict[str, Path]:
    """Return `{name: folder}` of the models that come with jaxvae."""
    return {path.parent.name: path.parent for path in sorted(ZOO.glob(f"*/{NAME}"))}
