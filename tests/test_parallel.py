"""One step, placed on one device, on eight, on two hosts, by jit and by pmap: the same numbers."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from twenty_steps import BATCH, given_noise, run

from jaxvae import UserError, objectives, sharding

ROOT = Path(__file__).parents[1]


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def assert_same_run(a, b):
    assert relative(a["params"], b["params"]) < 1e-5
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-5)


@pytest.fixture(scope="module")
def one_device():
    return run(sharding.global_view(jax.devices()[:1]))


def two_processes(tmp_path, mode):
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "PYTHONPATH": str(ROOT)}
    script = [
        sys.executable,
        str(ROOT / "tests/twenty_steps.py"),
        str(tmp_path / "out.npz"),
        mode,
        f"localhost:{port}",
        "2",
    ]
    processes = [
        subprocess.Popen([*script, str(i)], env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True) for i in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    with np.load(tmp_path / "out.npz") as result:
        assert result["devices"] == 4
        return dict(result)


def test_loss_falls(one_device):
    assert one_device["loss"][-1] < one_device["loss"][0] - 5


def test_eight_devices_equal_one(one_device):
    assert jax.device_count() == 8
    assert_same_run(run(sharding.global_view()), one_device)


def test_two_hosts_equal_one_device(one_device, tmp_path):
    assert_same_run(two_processes(tmp_path, "jit"), one_device)


def test_pmap_equals_jit_given_the_same_noise():
    assert_same_run(run(sharding.per_device(), given_noise), run(sharding.global_view(), given_noise))


def test_pmap_on_two_hosts_equals_jit_given_the_same_noise(tmp_path):
    assert_same_run(two_processes(tmp_path, "pmap"), run(sharding.global_view(), given_noise))


def test_pmap_devices_draw_different_noise(one_device):
    assert relative(run(sharding.per_device())["params"], one_device["params"]) > 1e-3


def test_an_objective_that_needs_the_whole_batch_refuses_pmap():
    objective = objectives.Objective(
        lambda key: ({}, {}), lambda *_: None, whole_batch="it compares all pairs of examples"
    )
    with pytest.raises(UserError, match=r"compares all pairs.*parallel=jit"):
        sharding.make_parallel("pmap", BATCH, objective.whole_batch)
    assert sharding.make_parallel("jit", BATCH, objective.whole_batch).num_devices == 8


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_a_batch_that_the_devices_cannot_share_is_refused(mode):
    with pytest.raises(UserError, match=r"100, which 8 devices cannot share equally.*96"):
        sharding.make_parallel(mode, 100)
