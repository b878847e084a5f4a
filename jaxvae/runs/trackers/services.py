"""Write to Weights & Biases and to MLflow. A run that goes on is the same run there, by its `run_id`."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxvae.common.optional import require
from jaxvae.runs.trackers.base import parameters

PROJECT = "jaxvae"  # unless the service's own settings name another
AT_ONCE = 100  # parameters that MLflow takes in one call


class WandB:
    """Weights & Biases, configured by its own variables: `WANDB_MODE=offline` needs no network and no account."""

    def __init__(self, folder: Path, config: Mapping[str, Any], run_id: str):
        self._wandb = require("wandb")
        quiet = self._wandb.Settings(silent=True, console="off")
        self._run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT), name=config["name"], id=run_id or None,
            resume="allow", dir=str(folder), config=parameters(config), settings=quiet, reinit="create_new",
        )  # fmt: skip
        self._run.define_metric("*", step_metric="step")
        self.run_id = str(self._run.id)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({**values, "step": step})

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        self._run.log({name: self._wandb.Image(picture), "step": step})

    def results(self, values: Mapping[str, float], files: Sequence[Path]) -> None:
        self._run.summary.update(dict(values))
        figures = self._wandb.Artifact(f"figures-{self.run_id}", type="figures")
        for path in files:
            figures.add_file(str(path))
        self._run.log_artifact(figures)

    def close(self) -> None:
        self._run.finish()


class MLflow:
    """MLflow, configured by its own variables: `MLFLOW_TRACKING_URI=sqlite:///runs.db`, `MLFLOW_EXPERIMENT_NAME`."""

    def __init__(self, folder: Path, config: Mapping[str, Any], run_id: str):
        del folder
        mlflow = require("mlflow")
        self._client, self._entities = mlflow.MlflowClient(), require("mlflow.entities")
        if run_id:
            self.run_id = run_id
            self._client.update_run(run_id, status="RUNNING")
            return
        self.run_id = str(self._client.create_run(self._experiment(), run_name=config["name"]).info.run_id)
        params = [self._entities.Param(name, str(value)) for name, value in parameters(config).items()]
        for start in range(0, len(params), AT_ONCE):
            self._client.log_batch(self.run_id, params=params[start : start + AT_ONCE])

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self._client.get_experiment_by_name(name)
        return found.experiment_id if found else self._client.create_experiment(name)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        now = int(1000 * time.time())
        self._client.log_batch(
            self.run_id, metrics=[self._entities.Metric(name, value, now, step) for name, value in values.items()]
        )

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        self._client.log_image(self.run_id, picture, artifact_file=f"pictures/{name}-{step}.png")

    def results(self, values: Mapping[str, float], files: Sequence[Path]) -> None:
        self.scalars(0, values)
        for path in files:
            self._client.log_artifact(self.run_id, str(path), artifact_path="figures")

    def close(self) -> None:
        self._client.set_terminated(self.run_id)
