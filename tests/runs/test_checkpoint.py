"""Damaged checkpoints: the one before is taken, and it is said; the model comes back without a config file."""

import json
import logging
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxvae
from configs import vae
from jaxvae import UserError, train
from jaxvae.data.spec import DataSpec
from jaxvae.experiment import build
from jaxvae.report.plots import curves
from jaxvae.runs.checkpoint_reader import Reader
from jaxvae.runs.checkpoints import Checkpoints
from jaxvae.runs.log import MetricsLog, read_metrics
from jaxvae.runs.workdir import claim
from jaxvae.train import sharding

WEIGHTS = {
    "params": {"model": {"a": np.arange(200_000, dtype=np.float32), "b": np.ones((3, 4), np.float32)}},
    "extra": {},
}


def weights(step):
    return jax.tree.map(lambda leaf: leaf + step, WEIGHTS)


def save(folder, losses):
    checkpoints = Checkpoints(folder)
    for step, loss in losses.items():
        checkpoints.save(step, weights(step), {"step": np.array(step, np.int32)}, {"data_shape": [8, 8, 1]}, loss)
    checkpoints.close()


def steps(folder):
    return sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit())


def latest(folder):
    checkpoints = Checkpoints(folder)
    found = checkpoints.restore_latest(WEIGHTS, {"step": np.zeros((), np.int32)})
    checkpoints.close()
    return found


def largest_file(folder):
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def flip_a_bit(step_folder):
    file = largest_file(step_folder / "weights")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut_in_half(step_folder):
    file = largest_file(step_folder / "rest")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def lose_the_optimizer(step_folder):
    shutil.rmtree(step_folder / "rest")


def spoil_the_info(step_folder):
    (step_folder / "info" / "metadata").write_text("{")


def spoil_the_metrics(step_folder):
    (step_folder / "metrics" / "metrics").write_text("")


def test_keeps_the_latest_two_and_the_best_over_restarts(tmp_path):
    save(tmp_path / "c", {1: 3.0, 2: 1.0, 3: 2.0, 4: 2.5})
    save(tmp_path / "c", {5: 2.2, 6: None})
    assert steps(tmp_path / "c") == [2, 5, 6]
    reader = Reader(tmp_path / "c")
    assert [reader.weights(which)[0] for which in ("best", "last", "5")] == [2, 6, 5]
    with pytest.raises(UserError, match=r"no sound checkpoint '7'.*2, 5, 6"):
        reader.weights("7")


def test_without_any_validation_the_best_is_the_last(tmp_path):
    save(tmp_path / "c", {1: None, 2: None, 3: None})
    assert Reader(tmp_path / "c").weights("best")[0] == 3


@pytest.mark.parametrize("damage", [flip_a_bit, cut_in_half, lose_the_optimizer, spoil_the_info, spoil_the_metrics])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_taken(damage, tmp_path, caplog):
    folder = tmp_path / "checkpoints"
    save(folder, {1: 3.0, 2: 2.0, 3: 1.0})
    damage(folder / "3")
    with caplog.at_level(logging.WARNING, "jaxvae"):
        step, found, rest, info = latest(folder)
    assert (step, int(rest["step"]), info["data_shape"]) == (2, 2, [8, 8, 1])
    np.testing.assert_array_equal(found["params"]["model"]["a"], weights(2)["params"]["model"]["a"])
    assert "step 3 is damaged" in caplog.text
    assert (tmp_path / "damaged" / "3.0").is_dir()  # nothing is lost
    save(folder, {3: 1.0})
    assert latest(folder)[0] == 3


@pytest.mark.parametrize(
    "error", [PermissionError(13, "no"), OSError(5, "Input/output error"), OSError(24, "Too many"), MemoryError()]
)
@pytest.mark.parametrize("read", [latest, lambda folder: Reader(folder).weights("last")])
def test_what_is_no_damage_is_raised_and_nothing_is_moved(tmp_path, monkeypatch, read, error):
    def fail(*_, **__):
        raise error

    save(tmp_path / "checkpoints", {1: 3.0, 2: 2.0})
    monkeypatch.setattr(Reader, "arrays", fail)
    with pytest.raises(type(error)):
        read(tmp_path / "checkpoints")
    assert steps(tmp_path / "checkpoints") == [1, 2]
    assert not (tmp_path / "damaged").exists()


@pytest.mark.parametrize("part", ["weights", "info"])
def test_a_file_that_the_system_does_not_open_is_no_damage(tmp_path, part):
    """A link to itself cannot be opened, even by root; below TensorStore too, which says so in a ValueError."""
    folder = tmp_path / "checkpoints"
    save(folder, {1: 3.0, 2: 2.0})
    file = largest_file(folder / "2" / part)
    file.unlink()
    file.symlink_to(file.name)
    with pytest.raises(OSError, match="symbolic links"):
        latest(folder)
    assert steps(folder) == [1, 2]


def test_the_first_host_chooses_and_the_others_read_what_it_chose(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints"
    save(folder, {1: 3.0, 2: 2.0, 3: 1.0})
    said = []
    monkeypatch.setattr(sharding, "agree", lambda number: said.append(number) or number)
    assert latest(folder)[0] == 3
    checkpoints = Checkpoints(folder)
    monkeypatch.setattr(sharding, "agree", lambda number: said.append(number) or 2)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    step, found, rest, _ = checkpoints.restore_latest(WEIGHTS, {"step": np.zeros((), np.int32)})
    assert said == [3, -1]
    assert (step, int(rest["step"]), found["params"]["model"]["b"][0, 0]) == (2, 2, 3.0)


def test_half_written_checkpoints_do_not_count(tmp_path):
    folder = tmp_path / "checkpoints"
    save(folder, {1: 3.0})
    shutil.copytree(folder / "1", folder / "2.orbax-checkpoint-tmp")
    assert latest(folder)[0] == 1


def test_when_all_are_damaged_it_says_so_instead_of_starting_anew(tmp_path):
    folder = tmp_path / "checkpoints"
    save(folder, {1: 3.0, 2: 2.0})
    flip_a_bit(folder / "1")
    flip_a_bit(folder / "2")
    with pytest.raises(UserError, match=r"No checkpoint in .* is sound: steps \[2, 1\]"):
        latest(folder)


@pytest.mark.parametrize("damage", [flip_a_bit, spoil_the_info, spoil_the_metrics, shutil.rmtree])
def test_readers_fall_back_too(damage, tmp_path):
    folder = tmp_path / "checkpoints"
    save(folder, {1: 1.0, 2: 2.0, 3: 3.0})
    damage(folder / "1")
    assert Reader(folder).weights("best")[0] in (2, 3)
    assert {p.name for p in tmp_path.iterdir()} == {"checkpoints"}  # a reader moves nothing


def test_reading_the_best_says_what_is_damaged(tmp_path, caplog):
    folder = tmp_path / "checkpoints"
    save(folder, {1: 1.0, 2: 2.0, 3: 3.0})
    flip_a_bit(folder / "1")
    with caplog.at_level(logging.WARNING, "jaxvae"):
        assert Reader(folder).weights("best")[0] == 3
    assert "step 1 is damaged" in caplog.text


@pytest.mark.slow
def test_restore_gives_model_and_parameters_without_a_config_file(tmp_path):
    config = vae.get_config().to_dict()
    model = build.model(config, DataSpec((8, 8, 1), 17))
    params = model.init(train.stream(3, "init"))
    claim(tmp_path, config)
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.save(
        9,
        {"params": {"model": jax.device_get(params)}, "extra": {}},
        {"step": np.zeros(1)},
        {"data": {"shape": [8, 8, 1], "levels": 17, "is_float": False}},
        1.0,
    )
    checkpoints.close()

    restored, found = jaxvae.restore(tmp_path)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), found, params))
    x = jax.random.uniform(jax.random.key(0), (5, 8, 8, 1))
    np.testing.assert_array_equal(restored.encode(found, x).mean, model.encode(params, x).mean)
    np.testing.assert_array_equal(jaxvae.reconstruct(restored, found, x), jaxvae.reconstruct(model, params, x))
    assert jaxvae.sample(restored, found, jax.random.key(1), 7).shape == (7, 8, 8, 1)
    different = jnp.abs(
        jaxvae.reconstruct(model, params, x, jax.random.key(2)) - jaxvae.reconstruct(model, params, x)
    ).max()
    assert different > 1e-4  # a key asks for a draw from the posterior


def test_the_cut_last_line_of_a_killed_log_is_left_out(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 1}) + '\n{"step": 2, "lo')
    assert read_metrics(tmp_path) == [{"step": 1}]


def test_a_metric_that_is_not_finite_is_null_in_the_log_and_a_gap_in_the_curves(tmp_path):
    log = MetricsLog(tmp_path, 0)
    for step, kl in ((1, 1.0), (2, float("nan")), (3, float("inf"))):
        log.row(step, step / 3, "train", {"loss": 2.0 * step, "kl": kl})
    log.close()
    rows = [
        json.loads(line, parse_constant=pytest.fail) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()
    ]
    assert [row["kl"] for row in rows] == [1.0, None, None]
    line = curves(rows).axes[1].lines[0]  # of the KL, after that of the loss
    assert line.get_ydata() == [1.0]
