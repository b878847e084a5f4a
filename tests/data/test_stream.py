"""Streamed images: the same numbers as from memory, whatever reads them and wherever a run was stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from stream_tools import NUM, assert_same, draw
from test_tfds import IMAGES, LABELS, write_tfds

import launch
from jaxvae import data
from jaxvae.data import folders
from jaxvae.data.stream import Rows
from jaxvae.runs.checkpoint_reader import Reader
from jaxvae.train import loop, sharding, validation

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("size", [0, 4, 9])
def test_a_streamed_folder_is_the_folder_in_memory(both, size, capsys):
    memory, streamed = both(image_size=size)
    said = capsys.readouterr().err.splitlines()
    assert_same(memory, streamed)
    assert memory.shape == ((size, size, 3) if size else (6, 5, 3))
    assert sum(len(split.x) for split in streamed[1:4]) == NUM - 1
    skipped = [line for line in said if line.startswith("skipped 2 unreadable images")]
    assert len(skipped) == 2  # once from each
    assert skipped[0].endswith("the first: cats/01.png")


def test_a_streamed_tfds_set_is_the_decoded_one_and_keeps_no_images(tmp_path, capsys):
    write_tfds(tmp_path)
    options = {"data_dir": str(tmp_path), "image_size": 4}
    memory = data.load("tiny", **options, cache_dir=str(tmp_path / "one"))
    capsys.readouterr()
    streamed = data.load("tiny", **options, cache_dir=str(tmp_path / "other"), stream=True)
    assert capsys.readouterr().err == "looking through 20 images of tiny/train, once ...\n"
    assert_same(memory, streamed)
    assert_same(memory, data.load("tiny", **options, cache_dir=str(tmp_path / "other"), stream=True))
    assert capsys.readouterr().err == ""
    arrays = {path.name: np.load(path) for path in tmp_path.glob("other/data/*/*.npy")}
    assert len(arrays["train.x.npy"]) == 0
    np.testing.assert_array_equal(arrays["train.label.npy"], LABELS)
    assert "tensorflow" not in sys.modules


def test_any_source_streams_with_labels_and_factors(tmp_path):
    source = [{"image": x, "label": y, "some": {"big": y > 3}} for x, y in zip(IMAGES, LABELS, strict=True)]
    memory, streamed = (
        data.from_sources("a", {"train": source}, tmp_path / str(s), factor_names=["some/big"], stream=s)
        for s in (False, True)
    )
    assert_same(memory, streamed)
    np.testing.assert_array_equal(memory.train.factors[:, 0], memory.train.label > 3)


def test_a_folder_is_looked_through_once_unless_it_changes(both, images, tmp_path, capsys, monkeypatch):
    _, first = both()
    assert "looking through 41 images" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr(folders, "_each", None)
        again = data.load(path=str(images), cache_dir=str(tmp_path / "cache"), stream=True)
    np.testing.assert_array_equal(np.asarray(again.train.x), np.asarray(first.train.x))
    assert "looking through" not in capsys.readouterr().err
    draw(images / "junk.jpg")
    assert sum(len(split.x) for split in both()[1][1:4]) == NUM


def test_a_folder_can_be_streamed_where_nothing_can_be_noted(both, tmp_path):
    (tmp_path / "cache").touch()
    assert_same(*both())


def test_rows_are_indexed_as_an_array_is():
    rows = Rows([{"image": x} for x in IMAGES], IMAGES.shape[1:])
    order = np.random.default_rng(0).permutation(20)
    picked, expected = rows.select(order), IMAGES[order]
    for which in (3, -1, slice(2, 9), slice(None, None, 7), slice(5, 5), order[:6].reshape(2, 3), order[:0]):
        np.testing.assert_array_equal(picked[which], expected[which])
        assert picked[which].dtype == np.uint8
    np.testing.assert_array_equal(np.mean(picked, axis=0), expected.mean(axis=0))


# Batches.


@pytest.mark.parametrize("span", [(0, 3), (5, 4), (2, 1), (40, 2)])
def test_the_batches_are_those_from_memory_in_whatever_order_they_are_asked_for(both, span):
    memory, streamed = (data.make_feed(dataset.train, 8, 5, resident_bytes=0) for dataset in both())
    assert streamed.resident == {}
    assert streamed.steps_per_epoch == memory.steps_per_epoch == 3
    for step, num in ((0, 2), span, (sum(span), 2), span):
        jax.tree.map(np.testing.assert_array_equal, streamed.items(step, num), memory.items(step, num))


def test_worker_processes_give_the_same_batches_and_leave_none_behind(tmp_path, capfd):
    write_tfds(tmp_path)
    options = {"data_dir": str(tmp_path), "cache_dir": str(tmp_path / "cache")}
    memory, streamed = (data.load("tiny", **options, stream=stream) for stream in (False, True))
    capfd.readouterr()
    whole, feed = data.make_feed(memory.train, 4, 0, resident_bytes=0), data.make_feed(streamed.train, 4, 0, workers=2)
    for step, num in ((3, 4), (7, 2)):
        jax.tree.map(np.testing.assert_array_equal, feed.items(step, num), whole.items(step, num))
    assert capfd.readouterr().err == ""  # nor any advice


def test_evaluation_of_a_streamed_split_gives_the_same_numbers(both):
    memory, streamed = both()
    means = [
        validation.mean_over(
            dataset.train, lambda key, batch: {"x": batch["x"].mean((1, 2, 3)), "noise": jax.random.normal(key, (64,))},
            sharding.global_view(), jax.random.key(0), 64,
        )()
        for dataset in (memory, streamed)
    ]  # fmt: skip
    assert means[0] == means[1]
    assert means[0]["x"] == pytest.approx(memory.train.x.mean(), rel=1e-5)


def test_the_next_batches_are_asked_for_while_the_devices_work_on_the_last_ones():
    """A call returns before its numbers are there, and they are read after the next call has its batches."""
    events = []

    def run(state, step, num):
        events.append(("batches", step))
        return state, {"loss": np.zeros(num)}

    loop.fit(
        None, run, first_step=0, steps_per_epoch=6, num_epochs=1, steps_per_call=2, eval_every_epochs=1,
        on_steps=lambda end, metrics: events.append(("numbers", end)), on_epoch=lambda *_: None,
    )  # fmt: skip
    assert events == [
        ("batches", 0), ("batches", 2), ("numbers", 2), ("batches", 4), ("numbers", 4), ("numbers", 6)
    ]  # fmt: skip


# Whole runs.

SHORT = ["--config=configs/vae.py", "--config.name=a", "--config.train.batch_size=8", "--config.network.hidden=8,",
         "--config.train.steps_per_call=2", "--config.train.eval_every_epochs=2", "--config.evaluate.report=False",
         "--config.figures.draw=False",
         "--config.evaluate.metrics=", "--config.evaluate.nll_samples=2", "--config.model.latent_dim=2"]  # fmt: skip


def end_of(workdir):
    checkpoints = Reader(workdir / "checkpoints")
    step, _, info = checkpoints.weights("last")
    checkpoints.close()
    return step, info["checksums"], json.loads((workdir / "results.json").read_text())["test"]


def arguments(images, workdir, *more):
    cached = f"--config.data.cache_dir={images.parent / 'cache'}"
    return ["launch.py", *SHORT, f"--config.data.path={images}", cached, f"--workdir={workdir}", *more]


@pytest.mark.slow
def test_a_streamed_run_ends_with_the_bits_of_one_from_memory(images, tmp_path):
    for stream in ("True", "False"):
        more = [f"--config.data.stream={stream}", "--config.train.num_epochs=4"]
        assert launch.main(arguments(images, tmp_path / stream, *more), time.time()) == 0
    assert end_of(tmp_path / "True") == end_of(tmp_path / "False")


def workers_of(pid):
    """The processes that multiprocessing started for this one and its descendants, by their parents in /proc."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found |= {int(path.parent.name)}
        except OSError:
            continue
    return found


def launched(images, workdir, *options):
    env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    more = ["--config.train.num_epochs=600", "--config.train.eval_every_epochs=40", *options]
    command = [sys.executable, *arguments(images, workdir, *more)]
    return subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_until(process, condition):
    end = time.time() + 120
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.time() < end
        time.sleep(0.002)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_stopped_and_killed_with_its_workers_a_run_ends_with_the_same_bits(images, tmp_path):
    whole, workdir = tmp_path / "whole", tmp_path / "run"
    _, errors = launched(images, whole).communicate(timeout=300)
    streamed = ("--config.data.stream=True", "--config.data.workers=2")
    log = workdir / "metrics.jsonl"

    def rows():
        return log.read_text().count("\n") if log.exists() else 0

    # How the images are read is no part of the run: the second time, it goes on from memory.
    for number, options in ((signal.SIGINT, streamed), (signal.SIGTERM, ()), (signal.SIGKILL, streamed)):
        before, process = rows(), launched(images, workdir, *options)
        if number != signal.SIGKILL:  # as Ctrl-C does, to all processes: the first while they start
            ready = (lambda p=process: workers_of(p.pid)) if not before else (lambda n=before: rows() > n + 5)
            wait_until(process, ready)
            os.killpg(process.pid, number)
        else:
            wait_until(process, lambda n=before: rows() > n + 5)
            children = workers_of(process.pid)
            process.send_signal(number)
        _, errors = process.communicate(timeout=100)
        if number == signal.SIGKILL:
            assert len(children) >= 2
            end = time.time() + 20
            while any(Path(f"/proc/{child}").exists() for child in children):
                assert time.time() < end
                time.sleep(0.05)
        else:
            assert process.returncode == 128 + number, errors
            assert "the state is saved" in errors
            assert "Traceback" not in errors
    process = launched(images, workdir, *streamed)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert end_of(workdir) == end_of(whole)
