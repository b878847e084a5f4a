"""Run one mode of the command line, from a plain dictionary of settings."""

import contextlib
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax

from jaxvae import data, tools, train
from jaxvae.common.errors import UserError
from jaxvae.evaluation.table import check as check_metrics
from jaxvae.experiment import build
from jaxvae.experiment.checks import check_ranges
from jaxvae.experiment.plain import load_config
from jaxvae.experiment.setup import Experiment, setup
from jaxvae.models.sampling import sample
from jaxvae.report import outputs
from jaxvae.report.run_figures import sheets
from jaxvae.runs.checkpoints import Checkpoints
from jaxvae.runs.initial import check_data, other_weights, start
from jaxvae.runs.recorder import Recorder, make_validation, saved_seconds
from jaxvae.runs.restore import Restored, restore_run
from jaxvae.runs.signals import Signals, Stopped
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.runs.workdir import claim, lock, read_results
from jaxvae.samplers import sample_with
from jaxvae.train import loop, sharding
from jaxvae.train.gradients import check_accumulate

EVALUATE_ONLY = ("evaluate", "sample", "tool", "parallel", "name")  # sections that may change on a finished run


def run_train(config: Mapping[str, Any], workdir: Path, started: float) -> None:
    """Train, or resume a stopped run; then evaluate on the test set and draw figures.

    Raises:
      UserError: a mistake in the settings, before anything is written.
      NonFiniteLoss: the loss or a parameter became NaN or infinite; the last good checkpoint is kept.
      Stopped: SIGTERM or SIGINT; the state was saved.
    """
    experiment = setup(config)
    _check_asked(experiment)
    settings = config["train"]
    if settings["start_from"] and not (workdir / "config.json").exists():
        other_weights(experiment)  # refused before anything is written
    feed = _make_feed(experiment)
    first_host = jax.process_index() == 0
    for note in experiment.dataset.notes if first_host else ():
        print(note, file=sys.stderr)
    parallel = sharding.make_parallel(config["parallel"], settings["batch_size"], experiment.objective.whole_batch)
    check_accumulate(
        settings["accumulate"], settings["batch_size"], parallel.num_devices, experiment.objective.whole_batch
    )
    optimizer = build.optimizer(config, experiment.objective, experiment.total_steps)
    if config["evaluate"]["checkpoint"] not in ("best", "last"):
        raise UserError(
            "evaluate.checkpoint must be 'best' or 'last' while training; a step can be named with --mode=evaluate."
        )
    validate = make_validation(experiment)
    claim(workdir, config, write=first_host)
    with lock(workdir) if first_host else contextlib.nullcontext():
        sharding.wait_for_all("claimed")
        timing = _train(experiment, optimizer, feed, parallel, validate, workdir, started)
        sharding.wait_for_all("trained")
        outputs.finish(TrainedRun(experiment, restore_run(workdir, config["evaluate"]["checkpoint"])), workdir, timing)


def _make_feed(experiment: Experiment) -> data.Feed:
    config, split = experiment.config, experiment.dataset.train
    if experiment.dataset.sequence:
        return data.make_bucket_feed(split, config["train"]["batch_size"], config["seed"])
    return data.make_feed(split, config["train"]["batch_size"], config["seed"], workers=config["data"]["workers"])


def _train(
    experiment: Experiment, optimizer, feed, parallel, validate, workdir: Path, started: float
) -> dict[str, Any]:
    """Train from the newest checkpoint to the last epoch; return the durations, see `Recorder.timing`."""
    settings = experiment.config["train"]
    total = experiment.total_steps
    checkpoints = Checkpoints(workdir / "checkpoints")
    state, step, before = start(experiment, optimizer, checkpoints)
    run = train.make_trainer(
        experiment.objective,
        optimizer,
        experiment.preprocess,
        feed,
        parallel,
        settings["accumulate"],
        experiment.model.loops,
    )
    recorder = Recorder(
        experiment,
        workdir,
        checkpoints,
        parallel,
        validate,
        partial(sheets, experiment),
        feed.steps_per_epoch,
        step,
        before,
        started,
    )
    with recorder:
        if step == 0:  # fail now on a disk that cannot be written, not in an hour
            recorder.save(parallel.replicate(state), 0, None)
        with Signals() as signals:
            state, step = loop.fit(
                parallel.replicate(state),
                run,
                first_step=step,
                steps_per_epoch=feed.steps_per_epoch,
                num_epochs=settings["num_epochs"],
                steps_per_call=settings["steps_per_call"],
                eval_every_epochs=settings["eval_every_epochs"],
                on_steps=recorder.on_steps,
                on_epoch=recorder.on_epoch,
                should_stop=signals.received_by_any,
            )
            if step < total:
                recorder.save(state, step, None)
                checkpoints.wait()  # inside `signals`, so a second Ctrl-C does not interrupt it
                message = f"Stopped by {signals.name} at step {step} of {total}; the state is saved."
                raise Stopped(signals.number, f"{message} The same command resumes the run.")
        return recorder.timing()


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
    sampler = build.part("sampler", settings["sampler"])()  # fails before anything is read
    model = build.model(config, restored.spec)  # decodes sequences with the current `sample.decoding`
    key = train.streams(jax.random.key(config["seed"] if settings["seed"] < 0 else settings["seed"]))["sample"]
    if sampler.needs_codes or model.context_dim:
        run = TrainedRun(_same_data(setup(config), restored, workdir), restored)
        x = sample_with(run.model, restored.params, run.draw(), key, settings["num"], settings["temperature"])
    else:
        x = sample(model, restored.params, key, settings["num"], settings["temperature"])
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
