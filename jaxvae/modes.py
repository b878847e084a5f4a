"""What `launch.py` does in each mode, from a plain dictionary of settings."""

import contextlib
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from tqdm import tqdm

from jaxvae import build, data, report, sharding, train
from jaxvae.checkpoint import Checkpoints
from jaxvae.errors import NonFiniteLoss, UserError
from jaxvae.evaluate import mean_over, objective_metrics
from jaxvae.experiment import Experiment, check_ranges, setup
from jaxvae.signals import Signals, Stopped
from jaxvae.types import Tree
from jaxvae.workdir import MetricsLog, claim, load_config, lock, restore_run

EVALUATE_ONLY = ("evaluate", "sample", "parallel", "name")  # settings that a finished run can be asked with anew


def run_train(config: Mapping[str, Any], workdir: Path, started: float) -> None:
    """Trains, or goes on where a former run stopped; then evaluates on the test set and draws.

    Raises:
      UserError: a mistake in the settings, before anything is written.
      NonFiniteLoss: the loss or a parameter became NaN or infinite; the last good checkpoint is kept.
      Stopped: SIGTERM or SIGINT; the state was saved.
    """
    experiment = setup(config)
    settings, seed = config["train"], config["seed"]
    feed = data.make_feed(experiment.dataset.train, settings["batch_size"], seed)
    parallel = sharding.make_parallel(config["parallel"], settings["batch_size"], experiment.objective.whole_batch)
    total = settings["num_epochs"] * feed.steps_per_epoch
    optimizer = build.optimizer(config, total)
    if config["evaluate"]["checkpoint"] not in ("best", "last"):
        raise UserError(
            "evaluate.checkpoint must be 'best' or 'last' while training; a step can be named with --mode=evaluate."
        )
    validate = make_validation(experiment)
    first_host = jax.process_index() == 0
    claim(workdir, config, write=first_host)
    with lock(workdir) if first_host else contextlib.nullcontext():
        _wait_for_all("claimed")
        timing = _train(experiment, optimizer, feed, parallel, validate, workdir, started)
        _wait_for_all("trained")
        report.finish(experiment, workdir, restore_run(workdir, config["evaluate"]["checkpoint"]), started, timing)


def _train(
    experiment: Experiment, optimizer, feed, parallel, validate, workdir: Path, started: float
) -> dict[str, Any]:
    """From the newest checkpoint to the last epoch; returns how long it took."""
    config = experiment.config
    settings, seed = config["train"], config["seed"]
    total = settings["num_epochs"] * feed.steps_per_epoch
    keys = train.streams(seed)
    train_size = len(experiment.dataset.train.x)
    first_host = jax.process_index() == 0
    checkpoints = Checkpoints(workdir / "checkpoints")
    state, step, seconds_before = _start(experiment, optimizer, keys["init"], checkpoints)
    log = MetricsLog(workdir, step) if first_host else None
    run = train.make_trainer(
        experiment.objective, optimizer, experiment.preprocess, feed, keys["train"], train_size, parallel
    )
    bar = tqdm(total=total, initial=step, unit="step", desc=config["name"], disable=not first_host, mininterval=0.5)
    clock = time.perf_counter()
    first_step_seconds = []

    def seconds() -> float:
        return seconds_before + time.perf_counter() - clock

    def save(state: train.TrainState, step: int, loss: float | None) -> None:
        host = jax.device_get(parallel.collect(state))
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(host.params)):
            raise NonFiniteLoss(
                f"A parameter became NaN or infinite by step {step}. The last good checkpoint is kept. Try a smaller "
                "optimizer.learning_rate or optimizer.clip_norm=1, with another --workdir."
            )
        info = {"data_shape": list(experiment.dataset.shape), "train_seconds": seconds()}
        weights, rest = _split_state(host)
        checkpoints.save(step, weights, rest, info, loss)

    def on_steps(end: int, metrics: dict[str, np.ndarray]) -> None:
        if not first_step_seconds:
            first_step_seconds.append(time.time() - started)
        means = {name: float(values.mean()) for name, values in metrics.items()}
        bar.update(len(metrics["loss"]))
        bar.set_postfix(loss=f"{means['loss']:.2f}", refresh=False)
        if log:
            log.row(end, end / feed.steps_per_epoch, "train", {**means, "seconds": seconds()})

    def on_epoch(state: train.TrainState, step: int) -> None:
        # By way of the host: under pmap what is collected belongs to this host alone.
        seen = sharding.global_view().replicate(jax.device_get(parallel.collect(state)))
        metrics = validate(seen.params, seen.extra, seen.step)
        if metrics and not np.isfinite(metrics["loss"]):
            raise NonFiniteLoss(
                f"The validation loss became {metrics['loss']} at step {step}. The last good checkpoint is kept."
            )
        if log:  # before the checkpoint: rows after the newest checkpoint are dropped on resuming, and written again
            if metrics:
                log.row(step, step / feed.steps_per_epoch, "validation", {**metrics, "seconds": seconds()})
            params = jax.device_get(seen.params["model"])  # host arrays: this host alone draws
            for name, sheet in report.sheets(experiment, params).items():
                log.image(step, name, sheet)
        save(state, step, metrics.get("loss"))

    try:
        if step == 0:
            save(parallel.replicate(state), 0, None)  # a disk that cannot be written is found out now, not in an hour
        with Signals() as signals:
            state, step = train.fit(
                parallel.replicate(state),
                run,
                first_step=step,
                steps_per_epoch=feed.steps_per_epoch,
                num_epochs=settings["num_epochs"],
                steps_per_call=settings["steps_per_call"],
                eval_every_epochs=settings["eval_every_epochs"],
                on_steps=on_steps,
                on_epoch=on_epoch,
                should_stop=signals.received_by_any,
            )
            if step < total:
                save(state, step, None)
                checkpoints.wait()  # while a second Ctrl-C is still only noted
                message = f"Stopped by {signals.name} at step {step} of {total}; the state is saved."
                raise Stopped(signals.number, f"{message} The same command goes on from there.")
        train_seconds = seconds()
    finally:
        bar.close()
        try:
            checkpoints.close()
        finally:
            if log:
                log.close()
    return {"train_seconds": train_seconds, "seconds_to_first_step": (first_step_seconds or [None])[0]}


def run_evaluate(config: Mapping[str, Any], workdir: Path, started: float) -> None:
    """Computes the test metrics of a trained run again, with the `evaluate` settings given now."""
    _agree(config, workdir)
    restored = restore_run(workdir, config["evaluate"]["checkpoint"])
    experiment = setup(config)
    report.finish(experiment, workdir, restored, started, {"train_seconds": restored.info["train_seconds"]})


def run_sample(config: Mapping[str, Any], workdir: Path, started: float) -> None:
    """Draws new data from a trained run: `samples.npz` and `figures/samples.png`."""
    del started
    _agree(config, workdir)
    report.write_samples(config, workdir, restore_run(workdir, config["evaluate"]["checkpoint"]))


def run_reconstruct(config: Mapping[str, Any], workdir: Path, started: float) -> None:
    """Reconstructs test data of a trained run: `reconstructions.npz` and `figures/reconstructions.png`."""
    del started
    _agree(config, workdir)
    report.write_reconstructions(setup(config), workdir, restore_run(workdir, config["evaluate"]["checkpoint"]))


MODES = {"train": run_train, "evaluate": run_evaluate, "sample": run_sample, "reconstruct": run_reconstruct}


def make_validation(experiment: Experiment) -> Callable[..., dict[str, float]]:
    """`(params, extra, step) -> metrics` on the validation set; `{}` where there is none."""
    dataset = experiment.dataset
    key = train.streams(experiment.config["seed"])["validation"]
    if not len(dataset.validation.x):
        return lambda *_: {}
    per_example = partial(objective_metrics, experiment.objective, experiment.preprocess, len(dataset.train.x))
    return mean_over(
        dataset.validation, per_example, sharding.global_view(), key, experiment.config["evaluate"]["batch_size"]
    )


def _split_state(state: train.TrainState) -> tuple[Tree, Tree]:
    """What a model is used with, and the rest."""
    return {"params": state.params, "extra": state.extra}, {"opt_state": state.opt_state, "step": state.step}


def _start(experiment, optimizer, key, checkpoints) -> tuple[train.TrainState, int, float]:
    """The newest saved state, or the initial one: `(state, step, seconds trained before)`."""
    init = partial(train.init_state, experiment.objective, optimizer)
    template = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), jax.eval_shape(init, key))
    found = checkpoints.restore_latest(*_split_state(template))
    if found is None:
        return jax.jit(init)(key), 0, 0.0
    step, weights, rest, info = found
    return (
        train.TrainState(rest["step"], weights["params"], rest["opt_state"], weights["extra"]),
        step,
        info["train_seconds"],
    )


def _agree(config: Mapping[str, Any], workdir: Path) -> None:
    """Raises UserError where the settings that made a run differ from those given now, or are out of range."""
    check_ranges(config)
    old = load_config(workdir)
    claim(workdir, {**config, **{key: old.get(key) for key in EVALUATE_ONLY}}, write=False)


def _wait_for_all(name: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)
