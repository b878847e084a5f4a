"""A run killed at any moment and started again ends with the same bits; a signal saves and stops."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import launch
from jaxvae.runs.checkpoint_reader import Reader

ROOT = Path(__file__).parents[2]
EPOCHS = 12
COMMAND = [
    sys.executable, "launch.py", "--config=configs/vae.py", f"--config.train.num_epochs={EPOCHS}",
    "--config.train.eval_every_epochs=2", "--config.train.steps_per_call=3", "--config.evaluate.report=False",
    "--config.figures.draw=False",
    "--config.evaluate.metrics=", "--config.evaluate.nll_samples=2",
]  # fmt: skip


def start(workdir, *more):
    env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    return subprocess.Popen(
        [*COMMAND, f"--workdir={workdir}", *more], cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True
    )


def finish(workdir):
    process = start(workdir)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return errors


def end_state(workdir):
    """Every number of the last checkpoint, parameters and optimiser."""
    checkpoints = Reader(workdir / "checkpoints")
    step, weights, info = checkpoints.weights("last")
    checkpoints.close()
    return step, info["checksums"], weights


def wait_for_rows(process, workdir, count):
    """Until the log holds this many rows."""
    log = workdir / "metrics.jsonl"
    while process.poll() is None:
        if log.exists() and log.read_text().count("\n") >= count:
            return
        time.sleep(0.002)
    raise AssertionError("the run ended before it could be stopped")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("whole")
    finish(workdir)
    return workdir


def assert_same_end(workdir, whole):
    step, checksums, weights = end_state(workdir)
    step_whole, checksums_whole, weights_whole = end_state(whole)
    assert step == step_whole == EPOCHS * 10
    kernel = weights["params"]["model"]["encoder"]["Dense_0"]["kernel"]
    np.testing.assert_array_equal(kernel, weights_whole["params"]["model"]["encoder"]["Dense_0"]["kernel"])
    assert checksums == checksums_whole
    assert (
        json.loads((workdir / "results.json").read_text())["test"]
        == json.loads((whole / "results.json").read_text())["test"]
    )
    drop = ("seconds",)
    rows = [
        [
            {k: v for k, v in json.loads(line).items() if k not in drop}
            for line in (w / "metrics.jsonl").read_text().splitlines()
        ]
        for w in (workdir, whole)
    ]
    assert rows[0] == rows[1]


def log_until(workdir, step):
    """The lines of the log up to a step, seconds and all: a run that did not start anew keeps them to the letter."""
    return [line for line in (workdir / "metrics.jsonl").read_text().splitlines() if json.loads(line)["step"] <= step]


@pytest.mark.slow
def test_the_same_run_twice_gives_the_same_bits(whole, tmp_path):
    finish(tmp_path)
    assert_same_end(tmp_path, whole)


@pytest.mark.slow
def test_killed_at_three_moments_it_ends_with_the_same_bits(whole, tmp_path):
    for rows in (2, 16, 37):  # in the first epoch, between two checkpoints, near the end
        process = start(tmp_path)
        wait_for_rows(process, tmp_path, rows)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    checkpoints = Reader(tmp_path / "checkpoints")
    step, _, _ = checkpoints.weights("last")
    checkpoints.close()
    kept = log_until(tmp_path, step)
    assert len(kept) > 16  # the later kills lost nothing of the time before the first checkpoint
    finish(tmp_path)
    assert log_until(tmp_path, step) == kept
    assert_same_end(tmp_path, whole)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_within_an_epoch_and_the_run_goes_on_to_the_same_bits(number, whole, tmp_path):
    process = start(tmp_path)
    wait_for_rows(process, tmp_path, 7)
    process.send_signal(number)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 128 + number
    assert f"Stopped by {number.name} at step" in errors
    assert "Traceback" not in errors
    step, _, _ = end_state(tmp_path)
    assert f"at step {step} of {EPOCHS * 10}" in errors
    assert 0 < step < EPOCHS * 10
    kept = log_until(tmp_path, step)
    finish(tmp_path)
    assert log_until(tmp_path, step) == kept
    assert_same_end(tmp_path, whole)


@pytest.mark.slow
def test_a_finished_run_started_again_trains_no_further(whole):
    before, log = end_state(whole)[1], (whole / "metrics.jsonl").read_text()
    assert launch.main(["launch.py", *COMMAND[2:], f"--workdir={whole}"], time.time()) == 0
    assert end_state(whole)[1] == before
    assert (whole / "metrics.jsonl").read_text() == log
    assert json.loads((whole / "results.json").read_text())["seconds_to_first_step"] is None


@pytest.mark.slow
def test_seconds_add_up_over_the_calls_and_an_evaluation_keeps_them(tmp_path):
    process = start(tmp_path)
    wait_for_rows(process, tmp_path, 7)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=100)
    with contextlib.closing(Reader(tmp_path / "checkpoints")) as reader:
        first = reader.weights("last")[2]
    assert 0 < first["train_seconds"] < first["total_seconds"]
    started = time.time()
    finish(tmp_path)
    wall = time.time() - started
    whole = json.loads((tmp_path / "results.json").read_text())
    assert first["total_seconds"] < whole["total_seconds"] < first["total_seconds"] + wall
    second = {name: whole[name] - first[name] for name in ("train_seconds", "total_seconds")}
    assert 0 < second["train_seconds"] + whole["seconds_to_first_step"] / 2 < second["total_seconds"]
    assert launch.main(["launch.py", "--mode=evaluate", f"--workdir={tmp_path}"], time.time()) == 0
    again = json.loads((tmp_path / "results.json").read_text())
    assert again.pop("evaluate_seconds") != whole.pop("evaluate_seconds")
    assert {k: again[k] for k in whole if "seconds" in k} == {k: v for k, v in whole.items() if "seconds" in k}
    assert whole["seconds_to_first_step"] > 0


@pytest.mark.slow
def test_a_run_does_not_go_on_with_other_data(tmp_path, capsys):
    x = np.random.default_rng(0).random((300, 4), np.float32)
    argv = ["launch.py", "--config=configs/vae.py", f"--config.data.path={tmp_path / 'x.npy'}", "--config.name=a",
            "--config.train.num_epochs=1", COMMAND[-1], f"--workdir={tmp_path / 'run'}"]  # fmt: skip
    np.save(tmp_path / "x.npy", x)
    assert launch.main(argv, time.time()) == 0
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    for changed in (1 - x, x[:, :3]):
        np.save(tmp_path / "x.npy", changed)
        capsys.readouterr()
        assert launch.main(argv, time.time()) == 2
        assert "was trained on other data so far" in capsys.readouterr().err
        for mode in ("evaluate", "reconstruct"):
            assert launch.main([*argv, f"--mode={mode}"], time.time()) == 2
            assert "was trained on other data so far" in capsys.readouterr().err
        assert {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()} == before
    np.save(tmp_path / "x.npy", x)
    assert launch.main(argv, time.time()) == 0


@pytest.mark.slow
def test_two_processes_do_not_train_in_one_folder(tmp_path):
    first = start(tmp_path, "--config.train.num_epochs=5000")
    wait_for_rows(first, tmp_path, 1)
    second = start(tmp_path, "--config.train.num_epochs=5000")
    _, errors = second.communicate(timeout=100)
    first.kill()
    first.communicate()
    assert second.returncode == 2
    assert "Another process is training" in errors
