"""Mistakes: status 2, one paragraph that says what was given and what is allowed, nothing written and nothing lost."""

import errno
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
from configs.flags import PARTS, parse
from jaxvae import modes

ROOT = Path(__file__).parents[1]
VAE = f"--config={ROOT}/configs/vae.py"
SHORT = ["--config.train.num_epochs=1", "--config.evaluate.nll_samples=2"]


@pytest.fixture
def workdir(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def refused(capsys, workdir):
    """`(*argv) -> message` of a launch that must fail politely."""

    def refused(*argv):
        if not any(arg.startswith("--workdir") for arg in argv):
            argv = (*argv, f"--workdir={workdir}")
        assert launch.main(["launch.py", *argv], time.time()) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("error: ")
        assert captured.err.count("\n") == 1
        assert captured.out == ""
        assert len(captured.err) < 2000
        return captured.err

    return refused


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--config=configs/none.py"], ["'configs/none.py' does not exist", "configs/vae.py"]),
        ([], ["--config=configs/vae.py", "ae.py, vae.py"]),
        (["--mode=sample", "--workdir="], ["--config=configs/vae.py"]),
        ([VAE, "--foo=1"], ["flag 'foo'", "--help"]),
        ([VAE, "--cordinator=h:1"], ["Unknown flag 'cordinator'. Did you mean 'coordinator'? Known: config, coord"]),
        ([VAE, "--mode=trian"], ["trian", "train|evaluate|sample|reconstruct"]),
        ([VAE, "extra"], ["'extra' is no flag", "--config.KEY=VALUE"]),
        ([VAE, "--num_processes=two"], ["num_processes=two"]),
        ([VAE, "--config.train.num_epochs"], ["config.train.num_epochs"]),
        ([VAE, "--config.train.batchsize=3"], ["'train.batchsize'", "Did you mean 'train.batch_size'?"]),
        ([VAE, "--config.latent_dim=3"], ["'latent_dim'", "Did you mean 'model.latent_dim'?"]),
        ([VAE, "--config.train=3"], ["'train'", "train.batch_size"]),
        ([VAE, "--config.train.batch_size=3.5"], ["train.batch_size", "3.5", "int"]),
        ([VAE, "--config.train.batch_size=many"], ["train.batch_size", "many", "int"]),
        ([VAE, "--config.model.latent_dim="], ["model.latent_dim", "int"]),
        ([VAE, "--config.optimizer.learning_rate=fast"], ["optimizer.learning_rate", "fast", "float"]),
        ([VAE, "--config.network.hidden=wide"], ["hidden", "wide", "whole number"]),
        ([VAE, "--config.network.hidden=(4,5.5)"], ["hidden", "5.5", "whole number"]),
        ([VAE, "--config.network.activation=3"], ["activation '3'", "relu"]),
        ([VAE, "--config.optimizer.b1=high"], ["b1", "high"]),
        ([VAE, "--config.optimizer.mu_dtype=wide"], ["mu_dtype", "wide"]),
        (["--config=configs/vae_mse.py", "--config.model.likelihood.activation=3"], ["activation '3'", "sigmoid"]),
        ([VAE, "--coordinator=localhost:1"], ["--num_processes=N and --process_id=0..N-1", "'localhost:1', 0 and -1"]),
        ([VAE, "--num_processes=2"], ["--coordinator=HOST:PORT", "'', 2 and -1"]),
        ([VAE, "--coordinator=h:1", "--num_processes=2", "--process_id=2"], ["0..N-1", "'h:1', 2 and 2"]),
    ],
)
def test_mistakes_in_the_flags(refused, workdir, monkeypatch, argv, said):
    monkeypatch.chdir(ROOT)
    message = refused(*argv)
    assert all(word in message for word in said), message
    assert not workdir.exists()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("model.latent_dim=0", ["latent_dim is 0", "at least 1"]),
        ("model.latent_dim=-3", ["latent_dim is -3", "at least 1"]),
        ("optimizer.learning_rate=0", ["learning_rate is 0.0", "above 0"]),
        ("optimizer.learning_rate=-1", ["learning_rate is -1.0", "above 0"]),
        ("optimizer.learning_rate=nan", ["learning_rate is nan"]),
        ("optimizer.learning_rate=inf", ["learning_rate is inf"]),
        ("optimizer.clip_norm=-1", ["clip_norm is -1.0", "0 (no clipping) or above"]),
        ("optimizer.clip_norm=nan", ["clip_norm is nan"]),
        ("optimizer.warmup_steps=-1", ["warmup_steps is -1", "from 0 to"]),
        ("optimizer.warmup_steps=100000", ["warmup_steps is 100000", "from 0 to the run's 10 steps"]),
        ("train.batch_size=0", ["batch_size is 0", "1 "]),
        ("train.batch_size=4000", ["batch_size is 4000", "1 to 1294"]),
        ("train.batch_size=12", ["batch_size is 12", "8 devices cannot share", "multiple of 8"]),
        ("train.num_epochs=0", ["num_epochs is 0", "1 or more"]),
        ("train.steps_per_call=0", ["steps_per_call is 0", "1 or more"]),
        ("train.eval_every_epochs=-1", ["eval_every_epochs is -1", "1 or more"]),
        ("evaluate.nll_samples=0", ["nll_samples is 0", "1 or more"]),
        ("evaluate.batch_size=12", ["batch_size is 12", "multiple of the number of devices, 8"]),
        ("evaluate.memory_mb=0", ["memory_mb is 0", "above 0"]),
        ("evaluate.memory_mb=nan", ["memory_mb is nan"]),
        ("evaluate.checkpoint=first", ["'first'", "best"]),
        ("sample.num=0", ["sample.num is 0", "1 or more"]),
        ("sample.temperature=-1", ["temperature is -1"]),
        ("sample.temperature=inf", ["temperature is inf"]),
        ("kl.beta=-1", ["beta=-1", "0 or more"]),
        ("kl.beta=nan", ["beta", "nan", "finite"]),
        ("objective.num_samples=0", ["num_samples is 0", "at least 1"]),
        ("network.hidden=(0,)", ["hidden=(0,)", "1 or more"]),
        ("network.activation=rely", ["'rely'. Did you mean 'relu'?"]),
        ("data.binarization=statik", ["'statik'. Did you mean 'static'? Known: dynamic, none, static, threshold."]),
        ("data.pixel_range=(0.0,2.0)", ["pixel_range is (0.0, 2.0)", "(0.0, 1.0), (-1.0, 1.0), or ()"]),
        ("data.pixel_range=(-1.0,1.0)", ["'bernoulli' needs data in [0.0, 1.0]", "is [-1.0, 1.0]", "'squared_error'"]),
        ("data.validation_fraction=1.5", ["validation_fraction is 1.5", "[0, 1)"]),
        ("data.validation_fraction=0.0001", ["validation_fraction", "too few"]),
        ("data.image_size=-3", ["image_size is -3"]),
        ("data.name=no_such_set", ["'no_such_set' is not prepared", "tfds build no_such_set"]),
        ("data.path=missing.npz", ["'missing.npz'", ".npz or .npy file or a folder"]),
        ("data.path=pyproject.toml", ["'pyproject.toml'", ".npz or .npy"]),
        ("seed=-1", ["seed is -1", "from 0 to 2**32 - 1"]),
        ("parallel=foo", ["'foo'. Known: jit, pmap."]),
        ("model.posterior=delta", ["'delta'", "'diagonal_gaussian'"]),
    ],
)
def test_values_out_of_range(refused, workdir, monkeypatch, tmp_path, setting, said):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    message = refused(VAE, *SHORT, f"--config.{setting}")
    assert all(word in message for word in said), message
    assert not workdir.exists()


@pytest.mark.parametrize("fraction", ["0.0", "0.1"])
def test_a_test_batch_that_the_devices_cannot_share_is_refused_before_training(refused, workdir, fraction):
    argv = [f"--config.data.validation_fraction={fraction}", "--config.evaluate.batch_size=12"]
    assert "evaluate.batch_size is 12" in refused(VAE, *SHORT, *argv)
    assert not workdir.exists()


@pytest.mark.parametrize(
    ("number", "said", "unsaid"),
    [
        (errno.ENOSPC, "Free some space", "permissions"),
        (errno.EDQUOT, "Free some space", "permissions"),
        (errno.EROFS, "permissions", "Free some space"),
        (errno.EACCES, "permissions", "Free some space"),
        (errno.EIO, "'/some/where': Input/output error.\n", "--workdir"),
    ],
)
def test_what_the_system_refuses_is_said_with_the_advice_that_helps(refused, monkeypatch, number, said, unsaid):
    def fail(*_):
        raise OSError(number, os.strerror(number), "/some/where")

    monkeypatch.setitem(modes.MODES, "train", fail)
    message = refused(VAE)
    assert said in message
    assert unsaid not in message
    assert "'/some/where'" in message


def test_a_model_larger_than_memory(refused):
    message = refused(VAE, "--config.model.latent_dim=100000000000")
    assert "memory" in message
    assert "model.latent_dim" in message


@pytest.mark.parametrize("part", PARTS)
def test_unknown_parts_and_options_name_the_known_ones(refused, workdir, part):
    kind = part.rpartition(".")[2]
    known = sorted(jaxvae.build.PARTS[kind])
    message = refused(VAE, f"--config.{part}={known[-1]}z")
    assert f"Unknown {kind} '{known[-1]}z'. Did you mean '{known[-1]}'? Known: {', '.join(known)}." in message
    message = refused(VAE, f"--config.{part}.no_such_option=1")
    assert re.search(f"Unknown option of the {kind} '.*' 'no_such_option'.* Known: ", message)
    assert not workdir.exists()


BASE = "from configs import base\n\ndef get_config(dataset=''):\n    config = base.get_config('x')\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def get_config(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("import no_such_module", "no_such_module"),
        ("import sys\nsys.exit(3)", "SystemExit"),
        ("x = 3", "get_config"),
        ("def get_config():\n    raise RuntimeError('first\\n\\nsecond')", "RuntimeError: first"),
        ("def get_config():\n    return 3", "ConfigDict"),
        (BASE + "    config.train.batch_size = '3'\n    return config", "batch_size"),
        (BASE + "    config.network = 'mlp'\n    return config", "network"),
        (BASE + "    config.network = {'hidden': (3,)}\n    return config", "lacks network.name"),
        (BASE + "    del config.seed\n    return config", "lacks seed"),
        (BASE + "    config.train.momentum = 3\n    return config", "'train.momentum'"),
    ],
)
def test_config_files_that_do_not_load(refused, workdir, tmp_path, source, said):
    (tmp_path / "mine.py").write_text(source + "\n")
    message = refused(f"--config={tmp_path}/mine.py")
    assert said in message
    assert str(tmp_path / "mine.py") in message or said.startswith(("lacks", "'train"))
    assert not workdir.exists()


X = np.random.default_rng(0).random((300, 6, 5))


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.where(X < 0.01, np.nan, X), f"{(X < 0.01).sum()} values that are NaN or infinite"),
        (X * 3, "floats must lie in [0, 1]"),
        (X[:, 0, 0], "shape (300,)"),
        (X.astype(str), "type <U"),
        (X.astype(object), "objects and pickles are refused"),
        (X[:50], "batch_size"),
    ],
)
def test_own_data_that_is_unusable(refused, workdir, tmp_path, x, said):
    np.save(tmp_path / "own.npy", x)
    assert said in refused(VAE, f"--config.data.path={tmp_path}/own.npy")
    assert not workdir.exists()


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
    assert re.search(r"loss became (NaN|-?inf) at step [1-9]\d*\..*optimizer.learning_rate", message)
    assert message.count("\n") == 1
    _, params = jaxvae.restore(workdir)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))
    for line in (workdir / "metrics.jsonl").read_text().splitlines():
        assert math.isfinite(json.loads(line)["loss"])


FULL = """
import resource, sys, time
import launch
from jaxvae.checkpoint import Checkpoints

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
    [(1_000, 0, 400), (20_000, 0, 400), (50_000, 0, 4), (20_000, 20, 400)],
    ids=["config", "first checkpoint", "log", "later checkpoint"],
)
def test_a_full_disk_ends_the_run_politely(workdir, limit, after, hidden):
    """No file may grow above the limit, from the start or from a step on."""
    argv = [VAE, f"--workdir={workdir}", f"--config.network.hidden={hidden}", "--config.train.num_epochs=30", SHORT[1],
            "--config.train.eval_every_epochs=1", "--config.model.latent_dim=2"]  # fmt: skip
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
