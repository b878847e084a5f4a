"""Train small runs and evaluate them through the command line, for the tests of metrics of runs."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import launch
from jaxvae.evaluation.of_tables import TABLE_SCORES

ROOT = Path(__file__).parents[2]
QUICK = (
    "--config.evaluate.report=False", "--config.evaluate.nll_samples=5", "--config.evaluate.max_examples=1000",
    "--config.evaluate.ais_examples=4", "--config.evaluate.ais_chains=2", "--config.evaluate.ais_temperatures=3",
)  # fmt: skip
SHORT = (*QUICK, "--config.evaluate.metrics=", "--config.train.eval_every_epochs=100")
DIGITS = ("--config=configs/vae.py", "--config.train.num_epochs=25", "--config.network.hidden=(64,)",
          "--config.optimizer.learning_rate=0.005", "--config.model.latent_dim=8",
          "--config.train.steps_per_call=50")  # fmt: skip
SHAPES = ("--config=configs/beta_vae.py:shapes", "--config.train.num_epochs=1", "--config.network.hidden=(64,)",
          "--config.data.image_size=16", "--config.train.steps_per_call=97")  # fmt: skip
OF_CODES = ("linear_probe", "knn", "few_labels", "clustering", "frechet", "prdc", "fidelity")
FEW = "--config.evaluate.max_examples=500"
OTHER = {"outliers", "imputation", *TABLE_SCORES}  # need another data set, hidden values, or a table


def launched(*argv):
    assert launch.main(["launch.py", *argv], time.time()) == 0


def train(tmp_path_factory, *argv):
    workdir = tmp_path_factory.mktemp("runs") / "run"
    launched(*argv, *SHORT, f"--workdir={workdir}")
    return workdir


def results(workdir):
    return json.loads((workdir / "results.json").read_text())


def evaluated(workdir, metrics, *argv):
    launched(f"--workdir={workdir}", "--mode=evaluate", *QUICK, f"--config.evaluate.metrics={metrics}", *argv)
    return results(workdir)


def refused_metric(refused, workdir, metrics, *argv):
    return refused(f"--workdir={workdir}", "--mode=evaluate", *QUICK, f"--config.evaluate.metrics={metrics}", *argv)


def contents(workdir):
    files = [*(workdir / "checkpoints").rglob("*"), workdir / "metrics.jsonl", workdir / "config.json"]
    return {path: path.read_bytes() for path in files if path.is_file()}


def numbers(value):
    if isinstance(value, dict):
        return [n for v in value.values() for n in numbers(v)]
    if isinstance(value, list):
        return [n for v in value for n in numbers(v)]
    return [] if isinstance(value, str) else [value]


def one_device(workdir, metrics, *argv):
    command = [sys.executable, "launch.py", f"--workdir={workdir}", "--mode=evaluate", *QUICK, *argv]
    flags = os.environ["XLA_FLAGS"].replace("device_count=8", "device_count=1")
    env = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
    subprocess.run([*command, f"--config.evaluate.metrics={metrics}"], env=env, cwd=ROOT, check=True)
    return results(workdir)


def assert_same_on_one_device(workdir, metrics, eight, *argv):
    one = one_device(workdir, metrics, *argv)
    assert one["devices"] == "1 cpu"
    assert eight["devices"] == "8 cpu"
    for name, value in eight["test"].items():
        assert one["test"][name] == pytest.approx(value, rel=1e-5), name
    for name in one["metrics"]:  # all done on one device
        assert one["metrics"][name] == eight["metrics"][name], name
