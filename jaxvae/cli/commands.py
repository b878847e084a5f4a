"""Run one mode of the command line, from a plain dictionary of settings."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jaxvae import tools, train
from jaxvae.common.errors import UserError
from jaxvae.data.spec import DataSpec
from jaxvae.data.wanted import asked, shown_contexts, wanted
from jaxvae.evaluation.table import check as check_metrics
from jaxvae.experiment import build
from jaxvae.experiment.changes import ASKED, PLACES
from jaxvae.experiment.checks import check_ranges
from jaxvae.experiment.setup import Experiment, setup
from jaxvae.report import outputs
from jaxvae.report.run_figures import sheets
from jaxvae.runs import other_data
from jaxvae.runs.initial import check_data
from jaxvae.runs.recorder import saved_seconds
from jaxvae.runs.restore import Restored, restore_run
from jaxvae.runs.sampling import draw_samples
from jaxvae.runs.storage import Disk
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.runs.training import train_run
from jaxvae.runs.workdir import changed, read_results


def run_train(config: Mapping[str, Any], workdir: Path, started: float) -> None:
    """Train, or resume a stopped run; then evaluate on the test set and draw figures.

    Raises:
      UserError: a mistake in the settings, before anything is written.
      NonFiniteLoss: the loss or a parameter became NaN or infinite; the last good checkpoint is kept.
      Stopped: SIGTERM or SIGINT; the state was saved.
    """
    experiment = setup(config)
    _check_asked(experiment)
    train_run(
        experiment,
        Disk(workdir),
        started,
        pictures=partial(sheets, experiment),
        finish=lambda run, timing: outputs.finish(run, workdir, timing),
    )


def run_evaluate(config: Mapping[str, Any], workdir: Path, started: float) -> None:
    """Add test metrics of a trained run to `results.json`, with the current `evaluate` settings.

    With `evaluate.data` the metrics are of other data, and go to the folder `other/DATA/` of the run.
    """
    del started
    restored = _restored(config, workdir)
    experiment, workdir = _judged_on(config, restored, workdir)
    check_metrics(experiment, config["evaluate"]["metrics"])
    workdir.mkdir(parents=True, exist_ok=True)
    trained = {**restored.info, **read_results(workdir)}  # no results where training has not finished
    outputs.finish(TrainedRun(experiment, restored), workdir, saved_seconds(trained))


def run_sample(config: Mapping[str, Any], workdir: Path, started: float) -> None:
    """Sample new data from a trained run: `samples.npz` and `figures/samples.png`.

    The model's own prior needs no data; other samplers are fitted to the codes of the training set. A conditional model
    samples at each context of `sample.context`, by default at every class, or at the first test examples' contexts.
    """
    del started
    restored = _restored(config, workdir)
    settings = config["sample"]
    sampler, spec = settings["sampler"], restored.spec
    needs_codes = build.part("sampler", sampler)().needs_codes  # fails before anything is read
    model = build.model(config, spec)  # decodes sequences with the current `sample.decoding`
    key = train.stream(config["seed"] if settings["seed"] < 0 else settings["seed"], "sample")
    context = _sampled(config, spec)
    needs_data = needs_codes or (context is not None and not len(context))
    run = TrainedRun(_same_data(setup(config), restored, workdir), restored) if needs_data else None
    if run is not None and context is not None and not len(context):
        context = shown_contexts(spec.context, run.dataset.test.context)
    draw = run.draw() if run is not None and needs_codes else None
    x = draw_samples(model, restored.params, key, settings["num"], settings["temperature"], draw, context)
    outputs.write_samples(workdir, config, spec, x, sampler["name"] if needs_codes else "", context)


def run_reconstruct(config: Mapping[str, Any], workdir: Path, started: float) -> None:
    """Reconstruct test data, or `evaluate.data`: `reconstructions.npz` and `figures/reconstructions.png`."""
    del started
    restored = _restored(config, workdir)
    experiment, folder = _asked_data(config, restored, workdir)
    outputs.write_reconstructions(experiment, folder, restored.params)


def run_encode(config: Mapping[str, Any], workdir: Path, started: float) -> None:
    """Write the codes of `encode.split`, or of `evaluate.data`, as a table: see `outputs.write_codes`."""
    del started
    restored = _restored(config, workdir)
    experiment, folder = _asked_data(config, restored, workdir)
    outputs.write_codes(TrainedRun(experiment, restored), folder)


def run_tool(config: Mapping[str, Any], workdir: Path, started: float) -> None:
    """Apply a tool to a trained run, see `jaxvae.tools`; with `evaluate.data` to other data, in `other/DATA/`."""
    del started
    restored = _restored(config, workdir)
    experiment, workdir = _judged_on(config, restored, workdir)
    outputs.write_tool(TrainedRun(experiment, restored), workdir)


MODES = {
    "train": run_train, "evaluate": run_evaluate, "sample": run_sample, "reconstruct": run_reconstruct,
    "encode": run_encode, "tool": run_tool,
}  # fmt: skip


def _sampled(config: Mapping[str, Any], spec: DataSpec) -> np.ndarray | None:
    """Return the contexts to sample at, `[M, C]`: none where they are those of the data; None without a context."""
    if asked(config):
        return wanted(spec, config["data"], asked(config))
    return shown_contexts(spec.context, None) if spec.context_dim else None


def _same_data(experiment: Experiment, restored: Restored, workdir: Path) -> Experiment:
    check_data(restored.info, experiment, workdir)
    return experiment


def _judged_on(config: Mapping[str, Any], restored: Restored, workdir: Path) -> tuple[Experiment, Path]:
    """Return the experiment, its test set replaced by `evaluate.data` where given, and the folder of its results."""
    experiment = _same_data(setup(config), restored, workdir)
    if not config["evaluate"]["data"]:
        return experiment, workdir
    other = other_data.load_other(config, restored.spec)
    return other_data.judged_on(experiment, other), workdir / "other" / other_data.folder_name(other)


def _check_asked(experiment: Experiment) -> None:
    """Raise UserError, before training, for a sampler, tool or metric that will not work after it."""
    config = experiment.config
    build.part("sampler", config["sample"]["sampler"])()
    tools.find(config["tool"])
    check_metrics(experiment, config["evaluate"]["metrics"])


def _restored(config: Mapping[str, Any], workdir: Path) -> Restored:
    """Restore a run; raise UserError where the current settings are out of range, or differ from the run's."""
    check_ranges(config)
    changed(workdir, config, (*ASKED, *PLACES, "train.batch_size"))  # smaller there for small data, see `setup`
    return restore_run(workdir, config["evaluate"]["checkpoint"])


def _asked_data(config: Mapping[str, Any], restored: Restored, workdir: Path) -> tuple[Experiment, Path]:
    """Return the experiment with the run's own data or that of `evaluate.data`, and the folder for what is written."""
    if not config["evaluate"]["data"]:
        return _same_data(setup(config), restored, workdir), workdir
    if config["encode"]["split"] != "test":
        raise UserError("encode.split names a split of the run's own data: leave it out when evaluate.data is set.")
    other = other_data.load_other(config, restored.spec)
    folder = workdir / "other" / other_data.folder_name(other)
    return other_data.without_own(config, restored, other), folder
