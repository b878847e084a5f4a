"""From the command line to a config: shorthands, spellings, part switches, and a finished run that needs no config."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from absl import flags

import launch
from jaxvae.cli.flags import parse
from jaxvae.experiment import build
from jaxvae.experiment.defaults import PARTS
from jaxvae.tools import TOOLS

ROOT = Path(__file__).parents[2]
VAE = f"--config={ROOT}/configs/vae.py"
KNOWN = {**build.PARTS, "tool": TOOLS}
NAMES = [(part, name) for part in PARTS for name in sorted(KNOWN[part.rpartition(".")[2]])]


def config_of(*argv):
    return parse(["launch.py", *argv], flags.FlagValues()).to_dict()


def at(config, key):
    for name in key.split("."):
        config = config[name]
    return config


@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("train.batch_size", "64", 64),
        ("sample.seed", "-1", -1),
        ("kl.beta", "2", 2.0),
        ("optimizer.learning_rate", "3e-4", 3e-4),
        ("network.hidden", "(10, 5)", (10, 5)),
        ("network.hidden", "10", (10,)),
        ("network.hidden", "()", ()),
        ("data.pixel_range", "(-1,1)", (-1.0, 1.0)),
        ("data.cache_dir", "/some where/x=1", "/some where/x=1"),
        ("evaluate.checkpoint", "30", "30"),
        ("parallel", "pmap", "pmap"),
        ("train.freeze", "model.encoder", ("model.encoder",)),
        ("train.freeze", "model.encoder, model.prior", ("model.encoder", "model.prior")),
        ("train.freeze", "('model.encoder','model.prior')", ("model.encoder", "model.prior")),
        ("train.freeze", "'model.encoder','model.prior'", ("model.encoder", "model.prior")),
        ("data.columns", "age=count,grade=categorical", ("age=count", "grade=categorical")),
    ],
)
def test_one_override_changes_one_setting(key, text, value, spaced):
    plain = config_of(VAE)
    config = config_of(VAE, *([f"--config.{key}", text] if spaced else [f"--config.{key}={text}"]))
    assert at(config, key) == value
    assert type(at(config, key)) is type(value)
    parent, _, last = key.rpartition(".")
    (at(config, parent) if parent else config)[last] = at(plain, key)
    assert config == plain


@pytest.mark.parametrize(("part", "name"), NAMES)
def test_every_part_is_chosen_by_its_name_alone(part, name):
    plain, config = config_of(VAE), config_of(VAE, f"--config.{part}={name}")
    assert config == config_of(VAE, f"--config.{part}.name={name}")
    same = name == at(plain, part)["name"]
    shared = ("learning_rate", "warmup_steps", "clip_norm", "skip_norm", "ema_decay", "every", "groups", "schedule")
    nested = [key for key in at(plain, part) if key != "name"] if part == "model" else ()  # parts of their own
    common = shared if part == "optimizer" else nested
    expected = at(plain, part) if same else {"name": name} | {key: at(plain, part)[key] for key in common}
    assert at(config, part) == expected
    parent, _, last = part.rpartition(".")
    (at(config, parent) if parent else config)[last] = at(plain, part)
    assert config == plain


@pytest.mark.parametrize(
    ("overrides", "part", "expected"),
    [
        (
            ["model.likelihood=gaussian", "model.likelihood.variance=0.5"],
            "model.likelihood",
            {"name": "gaussian", "variance": 0.5},
        ),
        (
            ["model.likelihood.variance=0.5", "model.likelihood=gaussian"],
            "model.likelihood",
            {"name": "gaussian", "variance": 0.5},
        ),
        (["objective=reconstruction"], "objective", {"name": "reconstruction"}),
        (["objective=elbo"], "objective", {"name": "elbo", "num_samples": 1}),
        (
            ["network=mlp", "network.activation=tanh"],
            "network",
            {"name": "mlp", "hidden": (400,), "activation": "tanh"},
        ),
        (
            ["optimizer.schedule=cosine", "optimizer.schedule.final_fraction=0.1"],
            "optimizer.schedule",
            {"name": "cosine", "final_fraction": 0.1},
        ),
    ],
)
def test_options_of_the_old_part_go_and_new_ones_come(overrides, part, expected):
    assert at(config_of(VAE, *(f"--config.{o}" for o in overrides)), part) == expected


@pytest.mark.parametrize(
    ("suffix", "name", "epochs"),
    [("", "digits", 1000), (":digits", "digits", 1000), (":mnist", "mnist", 20), (":any/set", "any/set", 20)],
)
def test_the_data_set_stands_behind_a_colon(suffix, name, epochs):
    config = config_of(VAE + suffix)
    assert (config["data"]["name"], config["train"]["num_epochs"], config["name"]) == (name, epochs, f"vae-{name}")


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["data.path=/a/faces.npz"], "vae-faces"),
        (["data.name=kmnist"], "vae-kmnist"),
        (["data.path=/a/faces.npz", "name=mine"], "mine"),
    ],
)
def test_a_run_is_called_after_its_data_where_it_has_no_name(overrides, name):
    assert config_of(VAE, *(f"--config.{o}" for o in overrides))["name"] == name


@pytest.mark.parametrize(
    ("key", "first", "last", "value"), [("network.hidden", "(8,)", "(9,)", (9,)), ("seed", "1", "2", 2)]
)
def test_the_last_of_equal_flags_wins(key, first, last, value):
    assert at(config_of(VAE, f"--config.{key}={first}", f"--config.{key}={last}"), key) == value


@pytest.mark.parametrize("flag", ["--help", "-h", "--helpfull"])
def test_help_is_quick_and_brings_no_jax(flag):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "importtime", "launch.py", flag],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split("|") for line in done.stderr.splitlines() if line.count("|") == 2]
    imported = {name.strip().partition(".")[0] for _, _, name in rows}
    assert sum(int(spent.rpartition(":")[2]) for spent, _, _ in rows[1:]) < 5e6  # microseconds; 0.2 s on a free machine
    assert "ml_collections" in imported
    assert not imported & {"jax", "jaxlib", "flax", "numpy", "tensorflow_datasets", "matplotlib"}
    assert all(
        word in done.stdout for word in ("--config=configs/vae.py", "--workdir", "reconstruct", "batch_size=128")
    )


# A run that is finished.


def run(*argv):
    return launch.main(["launch.py", *argv], time.time())


SHORT = [VAE, "--config.train.num_epochs=1", "--config.evaluate.nll_samples=2", "--config.network.hidden=(8,)",
         "--config.evaluate.metrics=", "--config.evaluate.report=False", "--config.figures.draw=False"]  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("finished")
    assert run(*SHORT, f"--workdir={workdir}") == 0
    return workdir


def results(workdir):
    return json.loads((workdir / "results.json").read_text())["test"]


@pytest.mark.slow
def test_a_finished_run_is_evaluated_without_a_config(finished, capsys):
    before = {name: (finished / name).read_bytes() for name in ("config.json", "metrics.jsonl")}
    assert results(finished)["nll_samples"] == 2
    assert run("--mode=evaluate", f"--workdir={finished}", "--config.evaluate.nll_samples=7") == 0
    assert results(finished)["nll_samples"] == 7
    assert "NLL, 7 importance samples" in capsys.readouterr().out
    assert run("--mode", "evaluate", "--workdir", str(finished), "--config.evaluate.nll_samples", "3") == 0
    assert results(finished)["nll_samples"] == 3
    assert before == {name: (finished / name).read_bytes() for name in before}


@pytest.mark.slow
def test_the_config_of_a_run_is_the_one_it_was_started_with(finished):
    values = flags.FlagValues()
    flags.DEFINE_string("workdir", "", "", flag_values=values)
    flags.DEFINE_string("mode", "", "", flag_values=values)
    assert parse(["launch.py", "--mode=sample", f"--workdir={finished}"], values).to_dict() == config_of(*SHORT)


@pytest.mark.parametrize(
    ("mode", "override", "said"),
    [
        ("train", "seed=3", "seed: 0 there, 3 now"),
        ("train", "network.activation=tanh", "network.activation: 'relu' there, 'tanh' now"),
        (
            "train",
            "objective=reconstruction",
            "objective.name: 'elbo' there, 'reconstruction' now; objective.num_samples: 1 there, None now",
        ),
        ("evaluate", "model.latent_dim=3", "model.latent_dim: 20 there, 3 now"),
        ("sample", "train.num_epochs=3", "train.num_epochs: 1 there, 3 now"),
        ("reconstruct", "data.binarization=static", "data.binarization: 'none' there, 'static' now"),
        ("evaluate", "evaluate.checkpoint=5", "no sound checkpoint '5'"),
        ("evaluate", "evaluate.checkpoint=first", "'first'"),
        ("evaluate", "evaluate.nll_samples=0", "evaluate.nll_samples is 0"),
        ("evaluate", "evaluate.memory_mb=-1", "evaluate.memory_mb is -1"),
        ("sample", "sample.num=0", "sample.num is 0"),
        ("sample", "sample.num=-2", "sample.num is -2"),
        ("sample", "sample.temperature=-1", "sample.temperature is -1"),
        ("sample", "sample.temperature=nan", "sample.temperature is nan"),
    ],
)
def test_what_a_finished_run_cannot_be_asked(finished, capsys, mode, override, said):
    before = {p: p.read_bytes() for p in finished.rglob("*") if p.is_file()}
    assert (
        run(*(SHORT if mode == "train" else []), f"--mode={mode}", f"--workdir={finished}", f"--config.{override}") == 2
    )
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1
    assert before == {p: p.read_bytes() for p in finished.rglob("*") if p.is_file()}
