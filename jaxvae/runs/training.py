"""Train the run of an experiment, from its start or from where it stopped."""

import contextlib
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxvae import data
from jaxvae.common.errors import NonFiniteLoss, UserError
from jaxvae.common.types import Params, Tree
from jaxvae.experiment import build
from jaxvae.experiment.objects import with_objects
from jaxvae.experiment.setup import Experiment
from jaxvae.runs import going_on, held_clusters, pretraining
from jaxvae.runs.initial import fixed_weights, other_weights, start
from jaxvae.runs.recorder import Recorder, make_validation
from jaxvae.runs.restore import restored
from jaxvae.runs.signals import Signals, Stopped
from jaxvae.runs.storage import Storage
from jaxvae.runs.trackers import opening
from jaxvae.runs.trackers.opening import Trackers
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.train import loop, sharding
from jaxvae.train.gradients import check_accumulate
from jaxvae.train.sharding import Parallel
from jaxvae.train.trainer import make_trainer

Timing = dict[str, Any]  # see `Recorder.timing`


def train_run(
    experiment: Experiment,
    storage: Storage,
    started: float,
    pictures: Callable[[Params], dict[str, np.ndarray]] = lambda params: {},
    finish: Callable[[TrainedRun, Timing], None] = lambda run, timing: None,
    progress: bool = True,
    is_stage: bool = False,
    begin: Callable[[], dict[str, Tree]] | None = None,
) -> tuple[TrainedRun, Timing]:
    """Train to the last epoch, from the newest checkpoint in `storage` if there is one.

    With `train.pretrain_epochs` a new run trains its stages before, see `pretraining`.

    Args:
      experiment: the checked experiment.
      storage: where the run is kept.
      started: when the process started, in seconds since the epoch.
      pictures: `params -> {name: RGB picture}`, called at each validation.
      finish: called with the result while the storage is still claimed.
      progress: whether to show a progress bar.
      is_stage: whether this is a stage of another run, which needs no word where it is finished already.
      begin: returns the weights that a new run starts from, where it does not start anew.

    Returns:
      The run at the checkpoint `evaluate.checkpoint`, and its durations.

    Raises:
      UserError: a mistake in the settings, before anything is written.
      NonFiniteLoss: the loss or a parameter became NaN or infinite; the last good checkpoint in a folder is kept.
      Stopped: SIGTERM or SIGINT; the state was saved.
    """
    config, settings, workdir = experiment.config, experiment.config["train"], storage.workdir
    stage = pretraining.stage_of(experiment)
    held_clusters.check(experiment)
    opening.check(config)
    is_new = workdir is None or not (workdir / "config.json").exists()
    if is_new and settings["start_from"]:
        other_weights(stage or experiment)  # refused before anything is written
    fixed = fixed_weights(experiment) if is_new else None  # refused likewise
    feed = _make_feed(experiment)
    for note in experiment.dataset.notes if jax.process_index() == 0 and not is_stage else ():
        print(note, file=sys.stderr)
    whole_batch = experiment.objective.whole_batch
    parallel = sharding.make_parallel(config["parallel"], settings["batch_size"], whole_batch)
    check_accumulate(settings["accumulate"], settings["batch_size"], parallel.num_devices, whole_batch)
    optimizer = build.optimizer(with_objects(config, experiment.objects), experiment.objective, experiment.total_steps)
    which = config["evaluate"]["checkpoint"]
    if which not in ("best", "last"):
        raise UserError(
            "evaluate.checkpoint must be 'best' or 'last' while training; a step can be named with --mode=evaluate."
        )
    validate = make_validation(experiment)
    going_on.check(experiment, optimizer, workdir)

    def first_stage() -> dict[str, Tree]:
        assert stage is not None
        how: dict[str, Any] = {"progress": progress, "is_stage": True}
        before, _ = train_run(stage, storage.part(pretraining.NAME), started, **how)
        if not settings["cluster_epochs"]:
            return pretraining.weights_after(before, experiment)
        for number in range(1, settings["cluster_rounds"] + 1):
            name = f"{held_clusters.NAME}-{number}"
            clusters = storage.kept(name, partial(held_clusters.clusters_of, experiment, before))
            how["begin"] = partial(pretraining.weights_after, before, experiment, clusters)
            held = held_clusters.stage_of(experiment, clusters)
            before, _ = train_run(held, storage.part(name), started, **how)
        return before.restored.weights

    opened = opening.opened(config, workdir) if not is_stage else contextlib.nullcontext(Trackers({}))
    with storage.claimed(config), opened as trackers:
        sharding.wait_for_all("claimed")
        checkpoints = storage.checkpoints()
        state, step, before = start(experiment, optimizer, checkpoints, workdir, first_stage if stage else begin, fixed)
        if jax.process_index() == 0 and not is_stage and (sentence := going_on.finished(step, experiment)):
            print(sentence, file=sys.stderr)
        trainer = make_trainer(
            experiment.objective,
            optimizer,
            experiment.preprocess,
            feed,
            parallel,
            settings["accumulate"],
            experiment.model.loops and experiment.objective.loops,
        )
        recorder = Recorder(
            experiment, storage, checkpoints, parallel, validate, pictures,
            feed.steps_per_epoch, step, before, started, trackers, progress,
        )  # fmt: skip
        with recorder:
            try:
                _loop(experiment, trainer, feed, parallel, recorder, state, step)
            except NonFiniteLoss as error:
                kept = "The last good checkpoint is kept: train with another --workdir."
                raise NonFiniteLoss(f"{error} {kept if workdir else 'Nothing is kept of this run.'}") from error
            timing = recorder.timing()
        sharding.wait_for_all("trained")
        run = trained(experiment, storage, which)
        try:
            finish(run, timing)
        finally:
            opening.tell_results(trackers, workdir)
    return run, timing


def trained(experiment: Experiment, storage: Storage, which: str) -> TrainedRun:
    """Return the run at its "best" or "last" checkpoint."""
    parts = experiment.config, experiment.spec, experiment.model, experiment.objective
    return TrainedRun(experiment, restored(*parts, storage.weights(which), which))


def _make_feed(experiment: Experiment) -> data.Feed:
    config, split = experiment.config, experiment.dataset.train
    fixed = split, config["train"]["batch_size"], config["seed"]
    share = config["train"]["labelled_share"]
    if experiment.dataset.sequence:
        return data.make_bucket_feed(*fixed, labelled_share=share)
    return data.make_feed(*fixed, workers=config["data"]["workers"], labelled_share=share)


def _loop(
    experiment: Experiment,
    run: Callable,
    feed: data.Feed,
    parallel: Parallel,
    recorder: Recorder,
    state: Any,
    step: int,
) -> None:
    """Train from `step` on; where a signal stops it, save the state and raise Stopped."""
    settings, total = experiment.config["train"], experiment.total_steps
    if recorder.is_over() and step < total:
        recorder.conclude(step)
        return
    first = step
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
        if step < total and (signals.number or not recorder.is_over()):
            recorder.save(state, step, None)
            recorder.wait()  # inside `signals`, so a second Ctrl-C does not interrupt it
            message = f"Stopped by {signals.name} at step {step} of {total}; the state is saved."
            raise Stopped(signals.number, f"{message} The same command resumes the run.")
    if step > first:
        recorder.conclude(step)
