"""Run one mode of the command line, from a plain dictionary of settings."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax

from jaxvae import tools, train
from jaxvae.evaluation.table import check as check_metrics
from jaxvae.experiment import build
from jaxvae.experiment.checks import check_ranges
from jaxvae.experiment.plain import load_config
from jaxvae.experiment.setup import Experiment, setup
from jaxvae.report import outputs
from jaxvae.report.run_figures import sheets
from jaxvae.runs.initial import check_data
from jaxvae.runs.recorder import saved_seconds
from jaxvae.runs.restore import Restored, restore_run
from jaxvae.runs.sampling import draw_samples
from jaxvae.runs.storage import Disk
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.runs.training import train_run
from jaxvae.runs.workdir import claim, read_results

# Sections that may change on a finished run.
EVALUATE_ONLY = ("evaluate", "sample", "tool", "figures", "parallel", "name")


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
    """Compute the test metrics of a trained run again, with the current `evaluate` settings."""
    del started
    _agree(config, workdir)
    restored = restore_run(workdir, config["evaluate"]["checkpoint"])
    experiment = _same_data(setup(config), restored, workdir)
    check_metrics(experiment, config["evaluate"]["metrics"])
    trained = {**restored.info, **read_results(workdir)}  # no results where training has not finished
    outputs.finish(TrainedRun(experiment, restored), workdir, saved_seconds(trained))


def run_sample(config: Mapping[str, Any], workdir: Path, started: float) -> None:
    """Sample new data from a trained run: `samples.npz` and `figures/samples.png`.

    The model's own prior needs no data; other samplers are fitted to the codes of the training set.
    """
    del started
    _agree(config, workdir)
    restored = restore_run(workdir, config["evaluate"]["checkpoint"])
    settings = config["sample"]
    sampler, spec = settings["sampler"], restored.spec
    needs_codes = build.part("sampler", sampler)().needs_codes  # fails before anything is read
    model = build.model(config, spec)  # decodes sequences with the current `sample.decoding`
    key = train.streams(jax.random.key(config["seed"] if settings["seed"] < 0 else settings["seed"]))["sample"]
    run = None
    if needs_codes or model.context_dim:
        run = TrainedRun(_same_data(setup(config), restored, workdir), restored)
        model = run.model
    x = draw_samples(model, restored.params, sampler, key, settings["num"], settings["temperature"], run and run.draw)
    outputs.write_samples(workdir, config, restored.spec, x, settings["sampler"]["name"])


def run_reconstruct(config: Mapping[str, Any], workdir: Path, started: float) -> None:
    """Reconstruct test data with a trained run: `reconstructions.npz` and `figures/reconstructions.png`."""
    del started
    _agree(config, workdir)
    restored = restore_run(workdir, config["evaluate"]["checkpoint"])
    outputs.write_reconstructions(_same_data(setup(config), restored, workdir), workdir, restored.params)


def run_tool(config: Mapping[str, Any], workdir: Path, started: float) -> None:
    """Apply a tool to the latent space of a trained run, see `jaxvae.tools`."""
    del started
    _agree(config, workdir)
    restored = restore_run(workdir, config["evaluate"]["checkpoint"])
    outputs.write_tool(TrainedRun(_same_data(setup(config), restored, workdir), restored), workdir)


MODES = {
    "train": run_train, "evaluate": run_evaluate, "sample": run_sample, "reconstruct": run_reconstruct,
    "tool": run_tool,
}  # fmt: skip


def _same_data(experiment: Experiment, restored: Restored, workdir: Path) -> Experiment:
    check_data(restored.info, experiment.data_checksum, workdir)
    return experiment


def _check_asked(experiment: Experiment) -> None:
    """Raise UserError, before training, for a sampler, tool or metric that will not work after it."""
    config = experiment.config
    build.part("sampler", config["sample"]["sampler"])()
    tools.find(config["tool"])
    check_metrics(experiment, config["evaluate"]["metrics"])


def _agree(config: Mapping[str, Any], workdir: Path) -> None:
    """Raise UserError where the current settings are out of range, or differ from the run's."""
    check_ranges(config)
    old = load_config(workdir)
    claim(workdir, {**config, **{key: old.get(key) for key in EVALUATE_ONLY}}, write=False)
