"""Judge a run: the metrics of `Run.evaluate`."""

import os
from collections.abc import Mapping
from typing import Any

from jaxvae.api.given import as_settings
from jaxvae.api.settings import changed, check
from jaxvae.common.errors import UserError
from jaxvae.evaluation.results import evaluate
from jaxvae.evaluation.table import check as check_metrics
from jaxvae.experiment.plain import with_tuples
from jaxvae.experiment.setup import Experiment
from jaxvae.runs.other_data import judged_on, load_other
from jaxvae.runs.restore import Restored
from jaxvae.runs.trained_run import TrainedRun

OF_SAMPLES = ("sampler", "temperature")  # settings of the section `sample`


def judged(
    experiment: Experiment, restored: Restored, config: Mapping[str, Any], metrics: str, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Evaluate a run, see `Run.evaluate`.

    Args:
      experiment: of the run.
      restored: its parameters.
      config: its settings.
      metrics: names, separated by commas.
      settings: changes of the section `evaluate`, and OF_SAMPLES; `data` is also taken as it came, arrays or data
        frames.

    Raises:
      UserError: see `Run.evaluate`.
    """
    settings = dict(settings)
    given = settings.pop("data", None)
    if isinstance(given, str | os.PathLike):
        settings["data"], given = str(given), None
    named = {f"{'sample' if name in OF_SAMPLES else 'evaluate'}.{name}": value for name, value in settings.items()}
    changes, objects = as_settings({"evaluate.metrics": metrics, **named})
    if objects:
        raise UserError(
            "results.json names the sampler: give its name, or {'name': 'gmm', 'components': 5}, not a part."
        )
    config = with_tuples(changed(config, changes))
    check(config)
    if "checkpoint" in settings:
        raise UserError("A run is at one checkpoint: evaluate that of jaxvae.load(folder, checkpoint=...) instead.")
    experiment = experiment._replace(config=config)
    if given is not None or config["evaluate"]["data"]:
        experiment = judged_on(experiment, load_other(config, experiment.spec, given))
    check_metrics(experiment, metrics)
    found = evaluate(TrainedRun(experiment, restored))
    if found.refused:
        raise UserError(" ".join(found.refused))
    return found.results
