"""Folders that cannot hold a run or hold another, a loss that diverges, a full disk: said politely, nothing lost."""

import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from absl import flags

import jaxvae
import launch
from jaxvae.cli.flags import parse

ROOT = Path(__file__).parents[2]
VAE = f"--config={ROOT}/configs/vae.py"


@pytest.mark.parametrize("place", ["file", "file/sub", "/proc/run", "/dev/null"])
def test_a_workdir_that_cannot_be_made(refused, tmp_path, place):
    (tmp_path / "file").write_text("precious")
    assert str(tmp_path / place) in refused(VAE, f"--workdir={tmp_path / place}")
    assert (tmp_path / "file").read_text() == "precious"


def write_run(workdir, content=None):
    """A folder with a config but no checkpoint."""
    workdir.mkdir()
    content = json.dumps(parse(["launch.py", VAE], flags.FlagValues()).to_dict()) if content is None else content
    (workdir / "config.json").write_text(content)


def test_a_workdir_with_another_run_is_left_alone(refused, workdir):
    write_run(workdir)
    before = (workdir / "config.json").read_bytes()
    message = refused(VAE, "--config.seed=3", "--config.network.hidden=(5,)")
    assert "network.hidden: [400] there, [5] now; seed: 0 there, 3 now" in message
    assert [p.name for p in workdir.iterdir()] == ["config.json"]
    assert (workdir / "config.json").read_bytes() == before


@pytest.mark.parametrize("config", [[], [VAE]])
@pytest.mark.parametrize("mode", ["sample", "evaluate", "reconstruct"])
def test_modes_that_need_a_run(refused, workdir, mode, config):
    assert f"'{workdir}' holds no run" in refused(f"--mode={mode}", *config)
    assert not workdir.exists()
    write_run(workdir)
    assert "no checkpoints" in refused(f"--mode={mode}", *config)
    (workdir / "checkpoints").mkdir()
    assert "steps there: none" in refused(f"--mode={mode}", *config)
    assert sorted(p.name for p in workdir.iterdir()) == ["checkpoints", "config.json"]


@pytest.mark.parametrize("argv", [[VAE], ["--mode=sample"], ["--mode=evaluate", VAE]])
@pytest.mark.parametrize("content", ["", "{", "[1]", '"text"', '{"a": 1}'])
def test_a_damaged_config_json_is_kept_and_said(refused, workdir, argv, content):
    write_run(workdir, content)
    refused(*argv)
    assert (workdir / "config.json").read_text() == content


def test_a_loss_that_is_not_finite_names_the_step_and_keeps_the_last_good_state(workdir, capsys):
    argv = [VAE, f"--workdir={workdir}", "--config.train.num_epochs=2", "--config.optimizer.learning_rate=1e30"]
    assert launch.main(["launch.py", *argv], time.time()) == 2
    message = capsys.readouterr().err.rpartition("error: ")[2]
    assert re.search(
        r"loss became (NaN|-?inf) at step [1-9]\d*\..*optimizer.learning_rate.*checkpoint is kept: .*--workdir", message
    )
    assert message.count("\n") == 1
    _, params = jaxvae.restore(workdir)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))
    for line in (workdir / "metrics.jsonl").read_text().splitlines():
        assert math.isfinite(json.loads(line)["loss"])


FULL = """
import resource, sys, time
import launch
from jaxvae.runs.checkpoints import Checkpoints

limit, after, save = int(sys.argv[1]), int(sys.argv[2]), Checkpoints.save

def fill():
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

def save_or_fill(self, step, *args, **named):
    if step == after:
        while list(self.folder.glob("*tmp*")):
            time.sleep(0.01)
        fill()
    save(self, step, *args, **named)

Checkpoints.save = save_or_fill
if not after:
    fill()
sys.exit(launch.main(sys.argv[2:], time.time()))
"""


@pytest.mark.parametrize(
    ("limit", "after", "hidden"),
    [
        pytest.param(1_000, 0, 400, id="config", marks=pytest.mark.slow),
        pytest.param(20_000, 0, 400, id="first checkpoint", marks=pytest.mark.slow),
        pytest.param(50_000, 0, 4, id="log", marks=pytest.mark.slow),
        pytest.param(20_000, 20, 400, id="later checkpoint", marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_ends_the_run_politely(workdir, limit, after, hidden):
    """No file may grow above the limit, from the start or from a step on."""
    argv = [VAE, f"--workdir={workdir}", f"--config.network.hidden={hidden}", "--config.model.latent_dim=2",
            "--config.train.num_epochs=30", "--config.train.eval_every_epochs=1",
            "--config.evaluate.nll_samples=2"]  # fmt: skip
    env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"} | {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    command = [sys.executable, "-c", FULL, str(limit), str(after), *argv]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=90)
    assert done.returncode == 2
    message = done.stderr.rpartition("error: ")[2]
    assert message.count("\n") == 1
    assert "Free some space" in message
    assert str(workdir) in message or "File too large" in message
    assert "Traceback" not in done.stderr
    steps = [p.name for p in workdir.glob("checkpoints/*") if p.name.isdigit()]
    assert steps or not after
    for step in steps:
        _, params = jaxvae.restore(workdir, step)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))
