"""Whole runs with bfloat16, accumulation, rematerialisation, an average and skipped updates."""

import functools
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from numerics_tools import assert_same, launched, rows_of

import jaxvae
from jaxvae import train
from jaxvae.experiment import build, defaults
from jaxvae.experiment.plain import ADDED
from jaxvae.experiment.setup import setup
from jaxvae.runs.checkpoint_reader import Reader
from jaxvae.runs.recorder import make_validation
from jaxvae.runs.restore import restore_run
from jaxvae.train.state import join_state, split_state
from jaxvae.train.transforms import exchanged


def checksums(workdir):
    reader = Reader(workdir / "checkpoints")
    try:
        return {step: reader.info(step)["checksums"] for step in reader.steps()}
    finally:
        reader.close()


ALL = ("train.num_epochs=3", "optimizer.ema_decay=0.9", "optimizer.skip_norm=1e6", "train.compute_dtype=bfloat16",
       "train.accumulate=2", "train.remat=True", "evaluate.checkpoint=last")  # fmt: skip


@pytest.fixture(scope="module")
def with_all(tmp_path_factory):
    """A run with every setting of this file."""
    workdir = tmp_path_factory.mktemp("all")
    launched(workdir, *ALL)
    return workdir


@pytest.mark.slow
def test_a_run_validates_saves_and_samples_with_the_average(with_all):
    restored = restore_run(with_all, "last")
    reader = Reader(with_all / "checkpoints")
    experiment = setup(restored.config)
    optimizer = build.optimizer(restored.config, experiment.objective, experiment.total_steps)
    init = functools.partial(train.init_state, experiment.objective, optimizer)
    template = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), jax.eval_shape(init, jax.random.key(0)))
    weights, rest = split_state(template)
    found = reader.arrays(30, weights=weights, rest=rest)
    reader.close()
    state = join_state(found["weights"], found["rest"])
    assert_same(exchanged(state.params, state.opt_state)[0], restored.weights["params"])
    validate = make_validation(experiment)
    losses = [validate(params, {}, np.int32(30))["loss"] for params in (restored.weights["params"], state.params)]
    last = rows_of(with_all, "validation")[-1]
    assert last["loss"] == pytest.approx(losses[0], rel=1e-6)
    assert abs(last["loss"] - losses[1]) > 0.05
    model, params = jaxvae.restore(with_all, "last")
    assert_same(params, restored.weights["params"]["model"])
    launched(with_all, "sample.num=4", "evaluate.checkpoint=last", mode="sample")
    key = train.stream(0, "sample")
    drawn = np.load(with_all / "samples.npz")
    wanted = 16 * np.asarray(jaxvae.sample(model, params, key, 4))  # in the units of the digits
    np.testing.assert_allclose(drawn[drawn.files[0]].reshape(4, -1), wanted.reshape(4, -1), atol=1e-5)


@pytest.mark.slow
def test_its_rows_count_the_skipped_updates(with_all, tmp_path):
    assert [row["skipped"] for row in rows_of(with_all, "train")] == [0.0] * 3
    assert not any("skipped" in row for row in rows_of(with_all, "validation"))
    launched(tmp_path, "train.num_epochs=1", "optimizer.skip_norm=1e-6")
    assert [row["skipped"] for row in rows_of(tmp_path, "train")] == [1.0]
    first, last = (sums["weights"] for sums in checksums(tmp_path).values())
    assert first == last


@pytest.mark.slow
def test_it_goes_on_from_a_checkpoint_to_the_same_bits(with_all, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(with_all, workdir)
    expected, rows = checksums(workdir), rows_of(workdir)
    shutil.rmtree(workdir / "checkpoints/30")
    launched(workdir, *ALL)
    assert checksums(workdir) == expected
    assert [{**row, "seconds": 0} for row in rows_of(workdir)] == [{**row, "seconds": 0} for row in rows]


@pytest.mark.slow
def test_a_run_from_before_these_settings_is_used_as_ever(tmp_path):
    default = json.loads(json.dumps(defaults.get_config("").to_dict()))  # tuples are lists, as in a file
    launched(tmp_path, "train.num_epochs=1", "figures.draw=True")
    results = json.loads((tmp_path / "results.json").read_text())["test"]
    config = json.loads((tmp_path / "config.json").read_text())
    for section in default:
        for key, value in list(default[section].items()) if isinstance(default[section], dict) else ():
            is_added = section in ADDED or f"{section}.{key}" in ADDED
            if is_added and config[section][key] == value:
                del config[section][key]
    assert not {"encode", "figures"} & {section for section in config if config[section]}
    for section in ("encode", "context"):
        del config[section]
    (tmp_path / "config.json").write_text(json.dumps(config))
    before = checksums(tmp_path)
    launched(tmp_path, mode="evaluate")
    assert json.loads((tmp_path / "results.json").read_text())["test"] == results
    launched(tmp_path, "sample.num=2", mode="sample")
    jaxvae.restore(tmp_path)
    launched(tmp_path, "train.num_epochs=1", "figures.draw=True")  # goes on: there is nothing left to do
    assert checksums(tmp_path) == before
    assert json.loads((tmp_path / "config.json").read_text()) == config


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.compute_dtype=float16", "Unknown value of train.compute_dtype 'float16'. Did you mean 'bfloat16'?"),
        ("train.accumulate=0", "train.accumulate is 0"),
        ("train.accumulate=5", "8 devices with train.accumulate=5"),
        ("train.remat=2", "train.remat"),
        ("optimizer.ema_decay=1", "optimizer.ema_decay is 1.0"),
        ("optimizer.skip_norm=-1", "optimizer.skip_norm is -1.0"),
    ],
)
def test_a_run_with_a_setting_out_of_its_range_is_not_started(refused, workdir, override, said):
    assert said in refused(f"--config={Path(__file__).parents[2]}/configs/vae.py", f"--config.{override}")
    assert not workdir.exists()


def test_an_objective_of_the_whole_batch_is_not_accumulated(refused, workdir):
    config = f"--config={Path(__file__).parents[2]}/configs/beta_tcvae.py"
    assert "needs the whole batch at once" in refused(config, "--config.train.accumulate=2")
    assert not workdir.exists()
