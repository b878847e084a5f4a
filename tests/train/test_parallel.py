"""One step, placed on one device, on eight, on two hosts, by jit and by pmap: the same numbers."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import objective_tools as tools
import pytest
from twenty_steps import BATCH, given_noise, run

from jaxvae import UserError
from jaxvae.runs import signals
from jaxvae.train import sharding

ROOT = Path(__file__).parents[2]


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def assert_same_run(a, b):
    assert relative(a["params"], b["params"]) < 1e-5
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-5)


@pytest.fixture(scope="module")
def one_device():
    return run(sharding.global_view(jax.devices()[:1]))


def together(command):
    """Runs a command as two processes of two devices each."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "PYTHONPATH": str(ROOT)}
    hosts = [[f"--coordinator=localhost:{port}", "--num_processes=2", f"--process_id={i}"] for i in range(2)]
    processes = [
        subprocess.Popen([*command, *host], env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True) for host in hosts
    ]
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors


def two_processes(tmp_path, mode):
    together([sys.executable, "tests/helpers/twenty_steps.py", str(tmp_path / "out.npz"), mode])
    with np.load(tmp_path / "out.npz") as result:
        assert result["devices"] == 4
        return dict(result)


@pytest.mark.slow
def test_loss_falls(one_device):
    assert one_device["loss"][-1] < one_device["loss"][0] - 5


def test_eight_devices_equal_one(one_device):
    assert jax.device_count() == 8
    assert_same_run(run(sharding.global_view()), one_device)


@pytest.mark.slow
def test_two_hosts_equal_one_device(one_device, tmp_path):
    assert_same_run(two_processes(tmp_path, "jit"), one_device)


def test_pmap_equals_jit_given_the_same_noise():
    assert_same_run(run(sharding.per_device(), given_noise), run(sharding.global_view(), given_noise))


@pytest.mark.slow
def test_pmap_on_two_hosts_equals_jit_given_the_same_noise(tmp_path):
    assert_same_run(two_processes(tmp_path, "pmap"), run(sharding.global_view(), given_noise))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_launch_on_two_hosts_writes_one_run(tmp_path, mode):
    command = [sys.executable, "launch.py", "--config=configs/vae_2d.py", "--config.train.num_epochs=4",
               "--config.train.eval_every_epochs=2", f"--config.parallel={mode}", "--config.evaluate.nll_samples=2",
               f"--workdir={tmp_path / 'run'}"]  # fmt: skip
    together(command)
    rows = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["split"] == "validation"] == [20, 40]
    assert [row["step"] for row in rows if row["split"] == "train"] == [10, 20, 30, 40]
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["devices"] == "4 cpu"
    assert results["test"]["loss"] < rows[0]["loss"]


def test_a_signal_during_the_gather_is_not_lost(monkeypatch):
    with signals.Signals() as received:

        def gather(number):  # another host has none, and ours comes while we wait
            signal.raise_signal(signal.SIGTERM)
            return np.stack([number, np.int32(0)])

        monkeypatch.setattr(jax, "process_count", lambda: 2)
        monkeypatch.setattr(signals.multihost_utils, "process_allgather", gather)
        assert not received.received_by_any()
        assert received.received_by_any()
        assert received.name == "SIGTERM"


def test_pmap_devices_draw_different_noise(one_device):
    assert relative(run(sharding.per_device())["params"], one_device["params"]) > 1e-3


@pytest.mark.parametrize(
    ("name", "said"),
    [("beta_tcvae", r"q\(z\) is estimated"), ("dip_vae", "the covariance is"), ("info_vae", "latents of the whole"),
     ("wae_mmd", "latents of the whole"), ("swae", "latents of the whole")],
)  # fmt: skip
def test_an_objective_that_needs_the_whole_batch_refuses_pmap(name, said):
    whole_batch = tools.make(name, tools.small()).whole_batch
    with pytest.raises(UserError, match=rf"{said}.*parallel=jit"):
        sharding.make_parallel("pmap", BATCH, whole_batch)
    assert sharding.make_parallel("jit", BATCH, whole_batch).num_devices == 8


def test_an_objective_that_is_a_mean_over_examples_takes_pmap():
    assert sharding.make_parallel("pmap", BATCH, tools.make("elbo", tools.small()).whole_batch).axis_name


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_a_batch_that_the_devices_cannot_share_is_refused(mode):
    with pytest.raises(UserError, match=r"100, which 8 devices cannot share equally.*96"):
        sharding.make_parallel(mode, 100)
