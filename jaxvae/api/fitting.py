"""Train a model on data as it comes: the entry point in Python, with the implementation of the command line."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxvae.api.given import as_settings
from jaxvae.api.run import Run
from jaxvae.api.settings import changed, check
from jaxvae.common.errors import UserError
from jaxvae.common.platform import avoid_wrong_sums
from jaxvae.data.incoming import IN_MEMORY, as_dataset
from jaxvae.experiment import configs
from jaxvae.experiment.defaults import get_config, sized_for_own
from jaxvae.experiment.plain import with_tuples
from jaxvae.experiment.setup import setup
from jaxvae.models import Model
from jaxvae.objectives import Objective
from jaxvae.runs.signals import Stopped
from jaxvae.runs.storage import Disk, Memory
from jaxvae.runs.training import train_run, trained


def fit(
    what: str | ConfigDict | Mapping[str, Any] | tuple[Model, Objective] = "vae",
    data: Any = None,
    settings: Mapping[str, Any] | None = None,
    workdir: str | os.PathLike | None = None,
    progress: bool = True,
    **options: Any,
) -> Run:
    """Train a model; the same data and settings give the same bits as the command line.

    `jaxvae.fit("vae", x, model__latent_dim=2, train__num_epochs=30)` trains on an array; `run.encode(x)`,
    `run.sample(16)` and `run.save("runs/mine")` follow.

    Args:
      what: the name of a config ("vae", "beta_vae", ...) or its file, the result of a `get_config`, or a pair (model,
        objective).
      data: an array `[N, ...]`, a dictionary of arrays ("x" and labels "y", or "x_train", "x_test" ...), a data frame,
        a `data.Dataset`, a file or folder, or the name of a data set; by default that of the config.
      settings: changes of the config, `{"kl.beta": 4.0}`.
      workdir: folder of the run, resumed where it stopped; by default nothing is written.
      progress: whether to show a progress bar.
      options: more changes, with `__` for the dot: `kl__beta=4.0`, `objective="iwae"`. A part can also be a function
        (`objective=my_package.bounds.renyi`, or a `functools.partial` of it with options) or a built part.

    Returns:
      The run at its best checkpoint (`evaluate.checkpoint`); an interrupted run in memory, at its last state.

    Raises:
      UserError: a mistake in the data or the settings; before anything is trained or written.
    """
    started = time.time()
    avoid_wrong_sums()
    config = _named(what, data)
    pair = dict(zip(("model", "objective"), what, strict=True)) if isinstance(what, tuple) else {}
    given = {key.replace("__", "."): value for key, value in {**(settings or {}), **options, **pair}.items()}
    changes, objects = as_settings(given)
    config = changed(config, changes)
    check(config)
    dataset = None if data is None or isinstance(data, str | os.PathLike) else as_dataset(data, config["data"])
    experiment = setup(config, dataset, objects)
    memory = Memory() if workdir is None else None
    storage = memory or Disk(Path(str(workdir)))
    try:
        run, timing = train_run(experiment, storage, started, progress=progress)
    except Stopped as stopped:
        if memory is None or memory.last is None:
            raise
        print(f"{str(stopped).partition(';')[0]}; the run is at that step.", file=sys.stderr)
        run, timing = trained(experiment, storage, "last"), {}
    return Run(run.restored, storage.rows, storage.workdir, memory, experiment, objects=objects, timing=timing)


def _named(what: Any, data: Any) -> dict[str, Any]:
    """Return the config that is asked for, named after the data."""
    path = Path(data).expanduser() if isinstance(data, str | os.PathLike) else None
    is_path = path is not None and path.exists()
    of_user = is_path or (data is not None and path is None)
    name = "" if data is None else IN_MEMORY if path is None else path.stem if is_path else str(data)
    config = _base(what, "" if of_user else name)
    if data is None:
        return config
    config = sized_for_own(config) if of_user and isinstance(what, str | os.PathLike) else config
    config["name"] = configs.named_after(config["name"], config["data"]["name"], name)
    config["data"] |= {"name": name, "path": str(data) if is_path else ""}
    return config


def _base(what: Any, dataset: str) -> dict[str, Any]:
    if isinstance(what, str | os.PathLike):
        return configs.load(f"{what}:{dataset}" if dataset and ":" not in str(what) else str(what))
    if isinstance(what, tuple):
        if len(what) != 2 or not isinstance(what[0], Model) or not isinstance(what[1], Objective):
            raise UserError("A pair must be (model, objective), a jaxvae.Model and a jaxvae.Objective.")
        return get_config("own", dataset).to_dict()
    if isinstance(what, ConfigDict):
        return what.copy_and_resolve_references().to_dict()
    if isinstance(what, Mapping):
        return with_tuples(ConfigDict(what).to_dict())  # that of a loaded run has the lists of JSON
    raise UserError(
        f"fit got {type(what).__name__}: give the name of a config ('vae'), the result of a get_config(), or a pair "
        "(model, objective)."
    )
