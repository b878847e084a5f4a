"""Mistakes: status 2, one paragraph that says what was given and what is allowed, nothing written and nothing lost."""

import errno
import os
import re
from pathlib import Path

import numpy as np
import pytest

from jaxvae.cli import commands
from jaxvae.experiment import build
from jaxvae.experiment.defaults import PARTS
from jaxvae.tools import TOOLS

ROOT = Path(__file__).parents[2]
VAE = f"--config={ROOT}/configs/vae.py"
SHORT = ["--config.train.num_epochs=1", "--config.evaluate.nll_samples=2"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--config=configs/none.py"], ["'configs/none.py' does not exist", "vae_mse, vamp", "by its path"]),
        (["--config=configs/vea.py"], ["file 'configs/vea.py' does not exist", "Did you mean --config=vae?"]),
        (["--config=beta"], ["'beta' does not exist", "Did you mean --config=beta_vae?"]),
        (["--config=/tmp"], ["'/tmp' does not exist"]),
        ([], ["run' does not exist, so that there is nothing to go on with", "--config=vae"]),
        (["--workdir="], ["--config=configs/vae.py", "ae, avb, beta_tcvae"]),
        (["--mode=sample", "--workdir="], ["--config=configs/vae.py"]),
        ([VAE, "--foo=1"], ["flag 'foo'", "--help"]),
        ([VAE, "--cordinator=h:1"], ["Unknown flag 'cordinator'. Did you mean 'coordinator'? Known: config, coord"]),
        ([VAE, "--mode=trian"], ["trian", "train|evaluate|sample|reconstruct"]),
        ([VAE, "extra"], ["'extra' is not a flag", "--config.KEY=VALUE"]),
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
        ("model.latent_dim=0", ["latent_dim is 0", "1 or more"]),
        ("model.latent_dim=-3", ["latent_dim is -3", "1 or more"]),
        ("optimizer.learning_rate=0", ["learning_rate is 0.0", "above 0"]),
        ("optimizer.learning_rate=-1", ["learning_rate is -1.0", "above 0"]),
        ("optimizer.learning_rate=nan", ["learning_rate is nan"]),
        ("optimizer.learning_rate=inf", ["learning_rate is inf"]),
        ("optimizer.clip_norm=-1", ["clip_norm is -1.0", "0 (off) or above"]),
        ("optimizer.clip_norm=nan", ["clip_norm is nan"]),
        ("optimizer.warmup_steps=-1", ["warmup_steps is -1", "0 or more"]),
        ("optimizer.skip_norm=-1", ["skip_norm is -1.0", "0 (off) or above"]),
        ("optimizer.ema_decay=1", ["ema_decay is 1.0", "from 0 to below 1"]),
        ("train.accumulate=0", ["accumulate is 0", "1 or more"]),
        ("train.compute_dtype=float16", ["value of train.compute_dtype 'float16'", "bfloat16, float32"]),
        ("data.sequence.max_length=-1", ["max_length is -1", "0 or more"]),
        ("data.workers=-1", ["workers is -1", "0 or more"]),
        ("data.kind=image", ["value of data.kind 'image'. Did you mean 'images'?"]),
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
        ("data.validation_fraction=1.5", ["validation_fraction is 1.5", "from 0 to below 1"]),
        ("data.validation_fraction=0.0001", ["validation_fraction", "too few"]),
        ("data.image_size=-3", ["image_size is -3"]),
        ("data.name=no_such_set", ["no data set 'no_such_set'", "TFDS has none", "data.path"]),
        ("data.name=mnsit", ["no data set 'mnsit'", "Did you mean 'mnist'?"]),
        ("data.name=kmnist", ["'kmnist' is not prepared", "tfds build kmnist"]),
        ("data.path=missing.npz", ["'missing.npz'", "arrays (.npz, .npy, .mat, .h5), a table"]),
        ("data.path=pyproject.toml", ["'pyproject.toml', which has another suffix", ".npz, .npy"]),
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


@pytest.mark.parametrize(
    ("config", "setting", "said"),
    [
        ("vq_vae", "model.posterior.codebook_size=1", ["codebook_size=1", "2 or more"]),
        ("vq_vae", "model.posterior.code_dim=0", ["code_dim=0", "1 or more"]),
        ("vq_vae", "model.posterior.commitment=-0.1", ["commitment=-0.1", "0 or more"]),
        ("vq_vae", "model.posterior.decay=1.0", ["decay=1.0", "from 0 to 0.999999"]),
        ("vq_vae", "model.posterior.restart_below=1.5", ["restart_below=1.5", "from 0 to 1"]),
        ("fsq", "model.posterior.grid=(1,5)", ["grid=(1, 5)", "whole number from 2 to 1000"]),
        ("fsq", "model.posterior.grid=()", ["grid=()", "whole number from 2 to 1000"]),
        ("fsq", "model.posterior.grid=(2.5,)", ["grid", "2.5", "whole number"]),
        ("fsq", "model.posterior.grid=(1000,1000)", ["1000000 codes", "65536 at most"]),
        ("gumbel_vae", "model.posterior.categories=1", ["categories=1", "2 or more"]),
        ("gumbel_vae", "model.posterior.temperature=0.0", ["temperature=0.0", "above 0"]),
        ("gumbel_vae", "model.posterior.temperature=-1.0", ["temperature=-1.0", "above 0"]),
        ("svae", "model.latent_dim=1", ["latent_dim is 1", "at least 2"]),
        ("poincare_vae", "model.posterior.curvature=0.0", ["curvature", "is 0.0", "above 0"]),
        ("poincare_vae", "model.prior.scale=0.0", ["scale=0.0", "above 0"]),
        ("poincare_vae", "model.prior.curvature=2.0", ["curvature -1", "curvature -2"]),
        ("hvae", "model.posterior.step_size=0.5", ["step_size=0.5", "below 0.5"]),
        ("hvae", "model.posterior.tempering=1.0", ["tempering=1.0", "above 0 and below 1"]),
        ("hvae", "model.posterior.num_steps=0", ["num_steps=0", "1 or more"]),
        (
            "count_vae",
            "data.pixel_range=(0.0,1.0)",
            ["'negative_binomial' needs counts", "data.pixel_range to ()"],
        ),
        ("vae", "data.pixel_range=()", ["'bernoulli' needs data in [0.0, 1.0]", "'gaussian'"]),
        ("beta_tcvae", "parallel=pmap", ["the whole batch at once", "q(z) is estimated", "parallel=jit"]),
        ("vq_vae", "parallel=pmap", ["the whole batch at once", "the codebook follows", "parallel=jit"]),
    ],
)
def test_what_a_part_cannot_be(refused, workdir, config, setting, said):
    message = refused(f"--config={ROOT}/configs/{config}.py", *SHORT, f"--config.{setting}")
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

    monkeypatch.setitem(commands.MODES, "train", fail)
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
    known = sorted({**build.PARTS, "tool": TOOLS}[kind])
    message = refused(VAE, f"--config.{part}={known[-1]}z")
    assert f"Unknown {kind} '{known[-1]}z'. Did you mean '{known[-1]}'? Known: {', '.join(known)}." in message
    message = refused(VAE, f"--config.{part}.no_such_option=1")
    assert re.search(f"Unknown option 'no_such_option' of the {kind} '.*'.* Known: ", message)
    assert not workdir.exists()


BASE = "from jaxvae.experiment import defaults\n\ndef get_config(dataset=''):\n    config = defaults.get_config('x')\n"


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
        (np.where(X < 0.01, np.inf, X), f"{(X < 0.01).sum()} infinite values"),
        (X * 3, "needs data in [0.0, 1.0], but the data holds real values from 0.000324 to 3"),
        (X[:, 0, 0], "shape (300,)"),
        (X.astype(str), "type <U"),
        (X.astype(object), "objects and pickles are refused"),
        (X[:8], "train.batch_size is 128, but there are 5 training examples"),  # fewer than devices
        ((10 * X).astype(np.int64) - 1, "needs data in [0.0, 1.0], but the data holds real values from -1 to 8"),
    ],
)
def test_own_data_that_is_unusable(refused, workdir, tmp_path, x, said):
    np.save(tmp_path / "own.npy", x)
    assert said in refused(VAE, f"--config.data.path={tmp_path}/own.npy")
    assert not workdir.exists()


def test_a_named_pipe_is_refused_before_it_is_read(refused, tmp_path):
    os.mkfifo(tmp_path / "x.npz")
    message = refused(VAE, *SHORT, f"--config.data.path={tmp_path / 'x.npz'}")
    assert "is neither a file nor a folder" in message


def test_floats_are_no_counts(refused, workdir, tmp_path):
    np.save(tmp_path / "own.npy", X)
    message = refused(f"--config={ROOT}/configs/count_vae.py", f"--config.data.path={tmp_path}/own.npy")
    assert "needs counts, whole numbers from 0 on, but the data is floats" in message
    assert not workdir.exists()
