"""Folders of runs that a stranger, a disk or a kill has left odd: one paragraph or a warning, never a stack trace."""

import json
import logging
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

import jaxvae
import launch
from jaxvae import UserError
from jaxvae.runs.checkpoint_reader import Reader, checksum
from jaxvae.runs.checkpoints import REMOVED, Checkpoints
from jaxvae.runs.log import MetricsLog, read_metrics
from jaxvae.runs.recorder import saved_seconds
from jaxvae.runs.workdir import lock, read_results

WEIGHTS = {"params": {"model": {"a": np.arange(8, dtype=np.float32)}}, "extra": {}}
REST = {"step": np.zeros((), np.int32)}
TRAINING = (
    "--config=configs/vae.py", "--config.train.num_epochs=2", "--config.train.eval_every_epochs=1",
    "--config.network.hidden=(4,)", "--config.model.latent_dim=2", "--config.train.batch_size=512",
    "--config.evaluate.report=False",
    "--config.figures.draw=False", "--config.evaluate.metrics=", "--config.evaluate.nll_samples=2",
)  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Checkpoints of steps 1 to 3, of which the first is the best."""
    folder = tmp_path_factory.mktemp("saved") / "checkpoints"
    checkpoints = Checkpoints(folder)
    for step in (1, 2, 3):
        checkpoints.save(step, WEIGHTS, REST, {}, float(step))
    checkpoints.close()
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "checkpoints")
    return tmp_path / "checkpoints"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("trained") / "run"
    assert launch.main(["launch.py", *TRAINING, f"--workdir={workdir}"], time.time()) == 0
    return workdir


@pytest.fixture
def run(trained, workdir):
    shutil.copytree(trained, workdir)
    return workdir


@pytest.fixture
def warnings(caplog):
    with caplog.at_level(logging.WARNING, "jaxvae"):
        yield caplog


def change(path, **values):
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **values}))


def lose_the_metadata(step):
    for item in ("weights", "rest"):
        (step / item / "_METADATA").unlink()


def lose_the_arrays(step):
    lose_the_metadata(step)
    (step / "weights" / "manifest.ocdbt").unlink()


def lose_the_commit(step):
    (step / "_CHECKPOINT_METADATA").unlink()
    shutil.rmtree(step / "weights")


def put_a_folder_for_the_manifest(step):
    (step / "weights" / "manifest.ocdbt").unlink()
    (step / "weights" / "manifest.ocdbt").mkdir()


def put_a_pipe_for_the_manifest(step):
    (step / "weights" / "manifest.ocdbt").unlink()
    os.mkfifo(step / "weights" / "manifest.ocdbt")


def put_a_pipe_for_the_info(step):
    (step / "info" / "metadata").unlink()
    os.mkfifo(step / "info" / "metadata")


def nest_the_info(step):
    (step / "info" / "metadata").write_text("[" * 100_000)


def make_the_info_a_list(step):
    (step / "info" / "metadata").write_text("[1]")


def change_the_info(**values):
    return lambda step: change(step / "info" / "metadata", **values)


def shape(*described):
    return change_the_info(shapes={"params": {"model": {"a": described}}, "extra": {}})


DAMAGES = {
    "no arrays": lose_the_arrays,
    "half removed": lose_the_commit,
    "folder": put_a_folder_for_the_manifest,
    "pipe": put_a_pipe_for_the_manifest,
    "pipe for info": put_a_pipe_for_the_info,
    "nested info": nest_the_info,
    "list": make_the_info_a_list,
    "checksums": change_the_info(checksums=3),
    "no checksums": change_the_info(checksums={}),
}
SHAPES = {
    "huge": shape([10**12], "float32"),
    "beyond 64 bits": shape([10**30], "float32"),
    "negative": shape([-1], "float32"),
    "no type": shape([8], "x"),
    "objects": shape([8], "O"),
    "no list": shape(),
    "a number": change_the_info(shapes={"params": 3}),
    "none": change_the_info(shapes=None),
}


@pytest.mark.parametrize("damage", [*DAMAGES.values(), *SHAPES.values()], ids=[*DAMAGES, *SHAPES])
def test_a_reader_passes_over_odd_checkpoints_and_says_so(damage, folder, warnings):
    damage(folder / "3")
    assert Reader(folder).weights("last")[0] == 2
    assert warnings.text.count("step 3 is damaged") == 1
    with pytest.raises(UserError, match="no sound checkpoint '3'"):
        Reader(folder).weights("3")


@pytest.mark.parametrize("damage", [*DAMAGES.values(), change_the_info(rest=[])], ids=[*DAMAGES, "no rest"])
def test_a_run_that_goes_on_sets_odd_checkpoints_aside(damage, folder, warnings):
    damage(folder / "3")
    checkpoints = Checkpoints(folder)
    found = checkpoints.restore_latest(WEIGHTS, REST)
    checkpoints.close()
    assert found is not None
    assert found[0] == 2
    assert "step 3 is damaged" in warnings.text
    assert (folder.parent / "damaged" / "3.0").is_dir()


@pytest.mark.parametrize(
    "content", ["", "3", "{}", '{"loss": "x"}', '{"loss": NaN}', '{"loss": null}', '{"loss": [1]}']
)
def test_a_damaged_score_is_said_to_change_the_best(content, folder, warnings):
    assert Reader(folder).weights("best")[0] == 1
    (folder / "1" / "metrics" / "metrics").write_text(content)
    assert Reader(folder).weights("best")[0] == 2
    assert "The score of the checkpoint of step 1 is damaged" in warnings.text
    assert Reader(folder).weights("1")[0] == 1  # its weights are sound


@pytest.mark.parametrize("name", ["²", "٣", "007", "9" * 30])
def test_a_folder_whose_name_is_not_a_step_is_no_checkpoint(name, folder):
    shutil.copytree(folder / "3", folder / name)
    assert Reader(folder).steps() == [3, 2, 1]
    checkpoints = Checkpoints(folder)
    checkpoints.save(4, WEIGHTS, REST, {}, 4.0)
    checkpoints.close()
    assert Reader(folder).steps() == [4, 3, 1]
    assert len(list(folder.parent.rglob(f"{name}*"))) == 1  # nothing is lost


@pytest.mark.slow
def test_weights_without_orbax_metadata_are_read_since_their_checksums_are_right(folder, run):
    lose_the_metadata(folder / "3")
    assert checksum(Reader(folder).weights("3")[1]) == checksum(WEIGHTS)
    before, last = jaxvae.restore(run, "last")[1], Reader(run / "checkpoints").steps()[0]
    lose_the_metadata(run / "checkpoints" / str(last))
    assert checksum(jaxvae.restore(run, "last")[1]) == checksum(before)
    assert launch.main(["launch.py", *TRAINING, f"--workdir={run}"], time.time()) == 0
    assert checksum(jaxvae.restore(run, str(last))[1]) == checksum(before)  # trained again: same bits
    assert (run / "damaged" / f"{last}.0").is_dir()  # the optimiser's state needs the metadata


def test_an_older_checkpoint_is_renamed_before_it_is_removed(folder, monkeypatch):
    monkeypatch.setattr(Checkpoints, "_clear_removed", lambda self: None)  # as if killed before
    checkpoints = Checkpoints(folder)
    checkpoints.save(4, WEIGHTS, REST, {}, 4.0)
    checkpoints.close()
    assert Reader(folder).steps() == [4, 3, 1]
    removed = folder / REMOVED / "2"
    assert removed.is_dir()
    shutil.rmtree(removed / "info")
    monkeypatch.undo()
    Checkpoints(folder).close()
    assert not (folder / REMOVED).exists()
    assert Reader(folder).steps() == [4, 3, 1]
    assert not (folder.parent / "damaged").exists()


@pytest.mark.parametrize(
    ("info", "told"),
    [
        ({"data": 3}, "gives no model"),
        ({"data": {}}, "gives no model"),
        ({"data": {"shape": [8, 8, 1], "other": 1}}, "gives no model"),
        ({"data": {"shape": ["x"], "levels": 17, "is_float": False}}, "gives no model"),
    ],
)
def test_odd_info_of_a_run_is_one_paragraph(info, told, run):
    for step in (run / "checkpoints").iterdir():
        change(step / "info" / "metadata", **info)
    with pytest.raises(UserError, match=told) as error:
        jaxvae.restore(run)
    assert "\n" not in str(error.value)


def test_weights_without_a_model_are_one_paragraph(run):
    for step in (run / "checkpoints").iterdir():
        shutil.rmtree(step)
    checkpoints = Checkpoints(run / "checkpoints")
    info = {"data": {"shape": [8, 8, 1], "levels": 17, "is_float": False}}
    checkpoints.save(1, {"a": np.zeros(3)}, REST, info, 1.0)
    checkpoints.close()
    with pytest.raises(UserError, match=r"another layout of parameters .*\(9 arrays differ\)"):
        jaxvae.restore(run)


def test_a_run_of_another_layout_is_refused_in_one_paragraph_and_kept(run, refused):
    """As an older version, or the user's own network as it was, may have left it."""
    network = json.loads((run / "config.json").read_text())["network"]
    change(run / "config.json", network={**network, "hidden": [5]})
    steps = Reader(run / "checkpoints").steps()
    told = r"model.decoder.Dense_0.bias is [4] float32 there and [5] float32 here (6 arrays differ)"
    for argv in (["--mode=sample"], ["--mode=evaluate"]):
        message = refused(*argv)
        assert f"has another layout of parameters than its config.json gives now: params.{told}" in message
    assert "resumes with the version of jaxvae" in refused(*TRAINING, "--config.network.hidden=(5,)")
    assert Reader(run / "checkpoints").steps() == steps
    assert not (run / "damaged").exists()


@pytest.mark.parametrize(
    "odd",
    [{"train": 3}, {"data": 3}, {"model": {}}, {"network": {}}, {"model": {"latent_dim": "x"}}, {"optimizer": []}],
)
def test_an_odd_config_is_one_paragraph(odd, run):
    change(run / "config.json", **odd)
    with pytest.raises(UserError, match=r"gives no model|holds no run|Unknown network") as error:
        jaxvae.restore(run)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", ".lock", "results.json"])
def test_a_pipe_for_a_file_of_a_run_does_not_hang(name, run):
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    if name == "results.json":
        assert read_results(run) == {}
        return
    read = {"config.json": jaxvae.restore, "metrics.jsonl": read_metrics, ".lock": lock}[name]
    with pytest.raises(UserError, match="not a regular file"):
        read(run)


def test_odd_rows_of_the_log_are_left_out_with_a_warning(tmp_path, warnings):
    rows = ['{"step": 1}', "3", "null", "{}", '{"step": "x"}', '{"step": true}', "[" * 100_000, '{"step": 2}', "\udcff"]
    (tmp_path / "metrics.jsonl").write_text("\n".join(rows), errors="surrogateescape")
    assert read_metrics(tmp_path) == [{"step": 1}, {"step": 2}]
    assert "5 rows of" in warnings.text
    MetricsLog(tmp_path, 1).close()
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1}\n'


@pytest.mark.parametrize("value", ["x", float("inf"), float("nan"), -1, True, [1], 10**400])
def test_a_duration_that_is_not_one_is_left_out_with_a_warning(value, warnings):
    found = saved_seconds({"train_seconds": value, "total_seconds": 2.5})
    assert found == {"train_seconds": None, "total_seconds": 2.5, "seconds_to_first_step": None}
    assert warnings.text.count("is not a number of seconds") == 1


@pytest.mark.slow
def test_a_run_of_odd_durations_is_evaluated_and_goes_on(run, warnings, capsys):
    for step in (run / "checkpoints").iterdir():
        change(step / "info" / "metadata", train_seconds="x", total_seconds=float("inf"))
    results = run / "results.json"
    change(results, train_seconds="x")
    last = Reader(run / "checkpoints").steps()[0]
    shutil.rmtree(run / "checkpoints" / str(last))
    assert launch.main(["launch.py", "--mode=evaluate", f"--workdir={run}"], time.time()) == 0
    assert json.loads(results.read_text())["train_seconds"] is None
    assert launch.main(["launch.py", *TRAINING, f"--workdir={run}"], time.time()) == 0
    assert 0 < json.loads(results.read_text())["train_seconds"] < 100
    assert Reader(run / "checkpoints").steps()[0] == last
    assert "is not a number of seconds" in warnings.text
    assert "Traceback" not in capsys.readouterr().err


def test_a_checkpoint_that_does_not_name_its_data_is_refused(run, refused):
    for step in (run / "checkpoints").iterdir():
        info = json.loads((step / "info" / "metadata").read_text())
        del info["data_checksum"]
        (step / "info" / "metadata").write_text(json.dumps(info))
    assert "lacks the checksum of its training data" in refused("--mode=evaluate")
    assert "lacks the checksum of its training data" in refused(*TRAINING)
    assert not (Path(run) / "damaged").exists()


def test_arrays_of_another_shape_than_described_are_damaged(folder):
    """The checksum of the bytes alone would not notice."""
    info = Reader(folder).info(3)
    assert checksum({"a": WEIGHTS["params"]["model"]["a"].reshape(2, 4)}) == info["checksums"]["weights"]
    shape([2, 4], "float32")(folder / "3")
    assert Reader(folder).weights("last")[0] == 2
