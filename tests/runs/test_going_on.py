"""A run goes on with other settings: what may change, what is recorded, and that the bits are those of one long run."""

import contextlib
import functools
import json
import shutil
import time
from copy import deepcopy

import numpy as np
import pytest

import launch
from jaxvae.common.errors import UserError
from jaxvae.experiment.changes import GOING_ON, changes, may_change
from jaxvae.experiment.defaults import get_config
from jaxvae.experiment.plain import flatten, load_config
from jaxvae.runs.checkpoint_reader import Reader
from jaxvae.runs.storage import Memory, write_run

SMALL = (
    "--config=vae_2d", "--config.network.hidden=(8,)", "--config.train.eval_every_epochs=2",
    "--config.train.batch_size=256", "--config.evaluate.report=False",
    "--config.figures.draw=False", "--config.evaluate.nll_samples=2",
    "--config.evaluate.metrics=",
)  # fmt: skip
STEPS = 5  # of an epoch


def launched(workdir, *argv):
    return launch.main(["launch.py", f"--workdir={workdir}", *argv], time.time())


def weights(workdir, which="last"):
    with contextlib.closing(Reader(workdir / "checkpoints")) as reader:
        step, tree, info = reader.weights(which)
    return step, flatten(tree), info["checksums"]


@pytest.fixture(scope="module")
def prolonged(tmp_path_factory):
    """A run of 4 epochs, then of 6 in all, by its folder alone."""
    workdir = tmp_path_factory.mktemp("prolonged") / "run"
    assert launched(workdir, *SMALL, "--config.train.num_epochs=4") == 0
    assert launched(workdir, "--config.train.num_epochs=6") == 0
    return workdir


def test_a_prolonged_run_has_the_bits_of_a_long_one(prolonged, workdir):
    assert launched(workdir, *SMALL, "--config.train.num_epochs=6") == 0
    (step, found, checksums), (_, expected, whole) = weights(prolonged), weights(workdir)
    assert step == 6 * STEPS
    assert all(np.array_equal(found[key], expected[key]) for key in expected)
    assert checksums == whole  # the moments too
    for kept in ("data", "model", "optimizer", "train"):
        assert load_config(prolonged)[kept] == load_config(workdir)[kept]


def test_a_change_is_recorded(prolonged):
    rows = [json.loads(line) for line in (prolonged / "history.jsonl").read_text().splitlines()]
    assert [(row["step"], row["changes"]) for row in rows] == [(4 * STEPS, {"train.num_epochs": [4, 6]})]
    assert load_config(prolonged)["train"]["num_epochs"] == 6


@pytest.fixture
def copy(prolonged, workdir):
    shutil.copytree(prolonged, workdir)
    return workdir


def test_the_learning_rate_and_its_schedule_change_and_the_moments_stay(copy, capsys):
    before = weights(copy)[1]
    argv = ("--config.optimizer.schedule=cosine", "--config.optimizer.learning_rate=0.1", "--config.train.num_epochs=7")
    assert launched(copy, *argv) == 0
    said = capsys.readouterr().err
    assert "changed: optimizer.learning_rate, 0.001 before, 0.1 now\n" in said
    assert "changed: optimizer.schedule.name, 'constant' before, 'cosine' now\n" in said
    step, after, _ = weights(copy)
    assert step == 7 * STEPS
    moved = {key: np.abs(after[key] - before[key]).max() for key in before}
    assert 1e-3 < max(moved.values()) < 0.5  # with a rate of 0.1 at most, far down the cosine of 7 epochs


@pytest.mark.slow
def test_another_schedule_of_equal_rates_takes_the_same_steps_with_the_moments_that_were_kept(copy, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(copy, other)
    assert launched(copy, "--config.train.num_epochs=7") == 0
    level = "--config.optimizer.schedule=cosine", "--config.optimizer.schedule.final_fraction=1.0"
    assert launched(other, "--config.train.num_epochs=7", *level) == 0
    (step, found, _), (_, expected, _) = weights(other), weights(copy)
    assert step == 7 * STEPS
    assert all(np.allclose(found[key], expected[key], rtol=1e-5, atol=1e-6) for key in expected)


def test_fewer_epochs_than_are_done_are_a_finished_run(copy, capsys):
    before = weights(copy)[2]
    assert launched(copy, "--config.train.num_epochs=3") == 0
    assert "it has done 6 epochs, more than train.num_epochs=3." in capsys.readouterr().err
    assert weights(copy)[2] == before


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--config.network.hidden=(9,)"], "network.hidden: [8] there, [9] now"),
        (["--config.data.binarization=threshold"], "Of a run, these may change: train.num_epochs, "),
        (["--config.optimizer.clip_norm=1"], "its moments would be lost"),
        (["--config.train.num_epochs=9", "--config.data.name=shapes"], "was trained on other data so far"),
        (["--mode=evaluate", "--config.train.num_epochs=9"], "train.num_epochs: 6 there, 9 now"),
    ],
)
def test_what_changes_the_model_or_the_data_is_refused(prolonged, refused, argv, said):
    before = {path: path.read_bytes() for path in prolonged.rglob("*") if path.is_file()}
    assert said in refused(f"--workdir={prolonged}", *argv)
    assert {path: path.read_bytes() for path in prolonged.rglob("*") if path.is_file()} == before


def test_a_run_in_memory_is_not_saved_over_another_run(prolonged):
    config = load_config(prolonged)
    config["train"]["num_epochs"] = 9
    with pytest.raises(UserError, match="num_epochs: 6 there, 9 now"):
        write_run(Memory(), prolonged, config)
    assert load_config(prolonged)["train"]["num_epochs"] == 6


def test_a_folder_without_a_run_needs_a_config(workdir, refused):
    assert "nothing to go on with: give the --workdir of a run, or a config too" in refused(f"--workdir={workdir}")


def test_a_setting_newer_than_the_run_is_no_change():
    old, new = (get_config("vae").to_dict() for _ in range(2))
    del old["encode"], old["evaluate"]["data"], old["data"]["stream"]
    assert changes(old, new) == {}
    new["encode"]["split"] = "train"
    assert changes(old, new) == {"encode.split": ("test", "train")}  # the older run had the default


def test_each_setting_that_differs_is_a_change():
    before = get_config("vae").to_dict()
    for path in flatten(before):
        now = deepcopy(before)
        *sections, key = path.split(".")
        section = functools.reduce(dict.__getitem__, sections, now)
        was, section[key] = section[key], "other"
        assert changes(before, now) == {path: (was, "other")}


def test_options_of_a_schedule_and_of_a_group_may_change_as_their_settings_may():
    assert may_change("optimizer.schedule.final_fraction", GOING_ON)
    assert may_change("optimizer.groups.model.learning_rate", GOING_ON)
    assert not may_change("optimizer.name", GOING_ON)
    assert not may_change("optimizer.learning_rate_2", GOING_ON)
    assert not may_change("model.latent_dim", GOING_ON)
