"""Record a training run: log rows, pictures, checkpoints and durations."""

import logging
import math
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
from tqdm.auto import tqdm

from jaxvae.common.errors import NonFiniteLoss, UserError
from jaxvae.common.types import Params, Tree
from jaxvae.experiment.setup import Experiment
from jaxvae.runs import stopping
from jaxvae.runs.attempts import Failure, attempt, write_traces
from jaxvae.runs.initial import x_checksum
from jaxvae.runs.storage import Storage
from jaxvae.runs.trackers.opening import TENSORBOARD, Trackers, asked
from jaxvae.train import sharding
from jaxvae.train.sharding import Parallel
from jaxvae.train.state import TrainState, split_state, stream
from jaxvae.train.validation import check_batch_size, mean_over, objective_metrics

SECONDS = ("train_seconds", "total_seconds", "seconds_to_first_step")
log = logging.getLogger("jaxvae")


class Recorder:
    """Training callbacks: log, pictures, checkpoints. Only the first host logs and draws."""

    def __init__(
        self,
        experiment: Experiment,
        storage: Storage,
        checkpoints: Any,
        parallel: Parallel,
        validate: Callable[..., dict[str, float]],
        pictures: Callable[[Params], dict[str, np.ndarray]],
        steps_per_epoch: int,
        first_step: int,
        before: Mapping[str, Any],
        started: float,
        trackers: Trackers,
        progress: bool = True,
    ):
        """Open the logs; `before` is the info of the checkpoint resumed from, `started` this call's start in time."""
        first_host = jax.process_index() == 0
        self._experiment, self._checkpoints, self._parallel, self._validate = (
            experiment, checkpoints, parallel, validate
        )  # fmt: skip
        self._pictures, self._workdir = pictures, storage.workdir
        self._settings = experiment.config["train"]
        self._steps_per_epoch, self._before, self._started = steps_per_epoch, saved_seconds(before), started
        self._progress = stopping.read(before)
        self._of_data = {
            "data": experiment.spec._asdict(),
            "data_checksum": experiment.data_checksum,
            "x_checksum": x_checksum(experiment),
        }
        self._trackers = trackers
        self._log = storage.log(first_step, TENSORBOARD in asked(experiment.config)) if first_host else None
        self._bar = tqdm(
            total=experiment.total_steps, initial=first_step, unit="step", desc=experiment.config["name"],
            disable=not (first_host and progress), mininterval=0.5,
        )  # fmt: skip
        self._clock = time.perf_counter()
        self._seconds_to_first_step: float | None = None

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_) -> None:
        self._bar.close()
        try:
            self._checkpoints.close()
        finally:
            if self._log:
                self._log.close()

    def seconds(self) -> float:
        """Return the seconds of training, earlier calls included."""
        return (self._before["train_seconds"] or 0.0) + time.perf_counter() - self._clock

    def timing(self) -> dict[str, Any]:
        """Return the durations so far in seconds, earlier calls included."""
        return {
            "train_seconds": self.seconds(),
            "total_seconds": (self._before["total_seconds"] or 0.0) + time.time() - self._started,
            "seconds_to_first_step": self._seconds_to_first_step,
        }

    def save(self, state: TrainState, step: int, score: float | None) -> None:
        """Start to save the state, with its score where it was measured; lower is better."""
        host = jax.device_get(self._parallel.collect(state))
        if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(host.params)):
            raise NonFiniteLoss(
                f"A parameter became NaN or infinite by step {step}. Try a smaller optimizer.learning_rate or "
                "optimizer.clip_norm=1."
            )
        info = {**self._of_data, **self.timing(), "progress": self._progress._asdict()}
        self._checkpoints.save(step, *split_state(host), info, score)

    def wait(self) -> None:
        """Wait until the saved states are on the disk."""
        self._checkpoints.wait()

    def on_steps(self, end: int, metrics: dict[str, np.ndarray]) -> None:
        """Log the mean metrics over one device call."""
        if self._seconds_to_first_step is None:
            self._seconds_to_first_step = time.time() - self._started
        means = {name: float(values.mean()) for name, values in metrics.items()}
        self._bar.update(len(metrics["loss"]))
        shown = {"loss": f"{means['loss']:.2f}"}
        if means.get("skipped"):
            shown["skipped"] = f"{means['skipped']:.0%}"
        self._bar.set_postfix(shown, refresh=False)
        self._row(end, "train", means)

    def on_epoch(self, state: TrainState, step: int) -> bool:
        """Validate, draw pictures, save a checkpoint; return whether training stops early."""
        # Through the host: under pmap the collected state lives on this host's devices alone.
        weights, _ = split_state(jax.device_get(self._parallel.collect(state)))
        seen = sharding.global_view().replicate(weights)
        # With the final KL weight at any step: a warm-up in progress would make early states look best.
        metrics = self._validate(seen["params"], seen["extra"], np.int32(self._experiment.total_steps))
        if metrics and not np.isfinite(metrics["loss"]):
            raise NonFiniteLoss(f"The validation loss became {metrics['loss']} at step {step}.")
        # Rows before the checkpoint: on resuming, rows after the newest checkpoint are dropped and written again.
        if metrics:
            self._row(step, "validation", metrics)
        if self._log:
            self._draw(self._log, seen, step)
        score = selected(self._settings["select"], metrics)
        self._progress = self._progress.after(score, step) if metrics else self._progress
        self.save(state, step, score)
        return self.is_over()

    def is_over(self) -> bool:
        """Return whether `train.patience` ends training."""
        return self._progress.is_over(self._settings["patience"])

    def conclude(self, step: int) -> None:
        """Print why training stopped early; or, beside a progress bar, that the validation metric still improves."""
        if not self._log:
            return
        select = self._settings["select"]
        rows = [(row["step"], selected(select, row)) for row in self._log.rows if row.get("split") == "validation"]
        scores = [(at, score) for at, score in rows if score is not None]
        sentence = stopping.conclusion(
            self._progress, scores, select, self._settings["patience"], step, self._workdir is not None
        )
        if sentence and (self.is_over() or not self._bar.disable):
            self._bar.write(sentence, file=sys.stderr)

    def _draw(self, log: Any, weights: Tree, step: int) -> None:
        """Write pictures to TensorBoard; after a failure print a note and draw no more."""

        def pictures() -> dict[str, np.ndarray]:
            # On the host: only this process draws.
            params = jax.device_get(self._experiment.objective.model_params(weights["params"], weights["extra"]))
            return self._pictures(params)

        failures: list[Failure] = []
        for name, sheet in (attempt(f"The picture of step {step}", failures, pictures) or {}).items():
            log.image(step, name, sheet)
            self._trackers.image(step, name, sheet)
        if failures:
            self._pictures = lambda params: {}
            self._bar.write(f"note: {failures[0].note} Training continues without pictures.", file=sys.stderr)
            if self._workdir is not None:
                write_traces(self._workdir, failures)

    def _row(self, step: int, split: str, metrics: Mapping[str, float]) -> None:
        if self._log:
            values = {**metrics, "seconds": self.seconds()}
            self._log.row(step, step / self._steps_per_epoch, split, values)
            self._trackers.scalars(step, {f"{split}/{name}": float(value) for name, value in values.items()})


def saved_seconds(info: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the durations saved with a run; None where one is missing, or, with a warning, where it is invalid."""
    found = {}
    for name in SECONDS:
        value = info.get(name)
        sound = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
        if value is not None and not sound:
            log.warning("%s of the run is not a number of seconds; it is left out.", name)
        found[name] = value if sound else None
    return found


def selected(select: str, metrics: Mapping[str, float]) -> float | None:
    """Return the score of a checkpoint, the validation metric of `train.select`, negated after a minus sign.

    None where there is no validation set, or the metric is not finite.
    """
    value = metrics.get(select.removeprefix("-"))
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return -value if select.startswith("-") else value


def make_validation(experiment: Experiment) -> Callable[..., dict[str, float]]:
    """Return `(params, extra, step) -> metrics` on the validation set; metrics are `{}` without one."""
    dataset = experiment.dataset
    key = stream(experiment.config["seed"], "validation")
    batch_size, parallel = experiment.config["evaluate"]["batch_size"], sharding.global_view()
    check_batch_size(batch_size, parallel.num_devices)  # also for the test set, which comes last
    if not len(dataset.validation.x):
        if patience := experiment.config["train"]["patience"]:
            raise UserError(
                f"train.patience is {patience}, but there is no validation set: set data.validation_fraction above 0, "
                "or train.patience to 0."
            )
        return lambda *_: {}
    per_example = partial(objective_metrics, experiment.objective, experiment.preprocess, len(dataset.train.x))
    return mean_over(dataset.validation, per_example, parallel, key, batch_size)
