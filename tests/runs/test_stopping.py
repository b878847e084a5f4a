"""Early stopping, and the sentence on validation that still improves."""

import contextlib
import json
import math
import shutil
import time

import numpy as np
import pytest

import launch
from jaxvae.runs.checkpoint_reader import Reader
from jaxvae.runs.stopping import Progress, conclusion, read, still_improves

SMALL = (
    "--config=vae", "--config.network.hidden=(4,)", "--config.model.latent_dim=1", "--config.train.batch_size=64",
    "--config.evaluate.report=False",
    "--config.figures.draw=False", "--config.evaluate.nll_samples=2", "--config.evaluate.metrics=",
    "--config.optimizer.learning_rate=10", "--config.train.num_epochs=30", "--config.train.eval_every_epochs=1",
    "--config.train.patience=2",
)  # fmt: skip
PER_EPOCH = 144 // 64  # steps; 20 % of the rows are for testing, and 10 % of the others for validation


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.npz"
    np.savez(path, x=np.random.default_rng(0).uniform(size=(200, 3)).astype(np.float32))
    return f"--config.data.path={path}"


def after(scores):
    progress = Progress()
    for step, score in enumerate(scores, 1):
        progress = progress.after(score, step)
    return progress


def test_progress_counts_the_validations_after_the_best():
    assert after([3.0, 1.0, 2.0, 1.0]) == Progress(1.0, 2, 2)  # an equal score is no better
    assert after([3.0, None, 1.0]) == Progress(1.0, 3, 0)
    assert after([None, None]) == Progress(None, 0, 2)
    assert [after([1.0, 2.0, 2.0][:n]).is_over(2) for n in (1, 2, 3)] == [False, False, True]
    assert not after([1.0] * 9).is_over(0)


@pytest.mark.parametrize("odd", [{}, {"progress": 3}, {"progress": {"best": 1.0}},
                                 {"progress": {"best": "a", "step": 1, "since": 0}},
                                 {"progress": {"best": math.nan, "step": 1, "since": 0}},
                                 {"progress": {"best": 1.0, "step": 1, "since": -2}}])  # fmt: skip
def test_odd_progress_in_a_checkpoint_is_none(odd):
    assert read(odd) == Progress()
    assert read({"progress": Progress(1.5, 10, 2)._asdict()}) == Progress(1.5, 10, 2)


def exponential(rate, num=12):
    return [(step, 100 * math.exp(-rate * step)) for step in range(1, num + 1)]


def test_an_exponential_fall_gains_the_same_share_in_each_third():
    gain, share = still_improves(exponential(0.1))
    assert share == pytest.approx(math.exp(-0.4))
    assert gain == pytest.approx(100 * (math.exp(-0.8) - math.exp(-1.2)))


def test_nothing_is_said_of_a_flat_end_of_noise_or_of_few_validations():
    assert still_improves(exponential(0.6)) is None  # a share of 9 %
    assert still_improves(exponential(0.1, num=5)) is None
    assert still_improves([(step, 5.0) for step in range(12)]) is None
    assert still_improves([(1, 100.0)] + [(step, 10 - 0.01 * step) for step in range(2, 13)]) is None  # 0.04 of 90
    rising = [(step, abs(step - 6.0)) for step in range(1, 13)]
    assert still_improves(rising) is None


def test_a_sentence_names_the_metric_and_what_to_do():
    assert "validation elbo has not improved in 2 validations; the best, -3, was at step 7" in conclusion(
        Progress(3.0, 7, 2), [], "-elbo", 2, 30
    )
    assert "validation loss still improves: by 14.8 in the last third of training, 67% of its gain" in conclusion(
        Progress(), exponential(0.1), "loss", 0, 12
    )
    assert conclusion(Progress(3.0, 7, 2), [], "loss", 0, 30) == ""
    in_memory = conclusion(Progress(), exponential(0.1), "loss", 0, 12, goes_on=False)
    assert in_memory.endswith(
        "fit it again with a larger train.num_epochs; only a run with a workdir goes on where it ended."
    )


def launched(workdir, *argv):
    return launch.main(["launch.py", f"--workdir={workdir}", *argv], time.time())


def last(workdir):
    with contextlib.closing(Reader(workdir / "checkpoints")) as reader:
        step, _, info = reader.weights("last")
    return step, info["checksums"], info["progress"]


@pytest.fixture(scope="module")
def stopped(rows, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("stopped") / "run"
    assert launched(workdir, *SMALL, rows) == 0
    return workdir


@pytest.mark.slow
def test_a_run_stops_early_says_so_stays_stopped_and_goes_on_with_more_patience(stopped, workdir, capsys):
    shutil.copytree(stopped, workdir)
    step, checksums, progress = last(workdir)
    assert progress["since"] == 2
    assert 0 < step == progress["step"] + 2 * PER_EPOCH < 30 * PER_EPOCH
    assert json.loads((workdir / "results.json").read_text())["checkpoint"]["step"] == progress["step"]
    assert launched(workdir) == 0  # nothing is trained
    assert last(workdir) == (step, checksums, progress)
    said = f"Stopped early at step {step}: the validation loss has not improved in 2 validations"
    assert said in capsys.readouterr().err
    assert launched(workdir, "--config.train.patience=3", f"--config.train.num_epochs={step // PER_EPOCH + 1}") == 0
    assert last(workdir)[0] == step + PER_EPOCH


@pytest.mark.slow
def test_a_resumed_run_stops_at_the_same_step_with_the_same_bits(rows, stopped, workdir):
    step, checksums, progress = last(stopped)
    until = f"--config.train.num_epochs={step // PER_EPOCH - 1}"  # between the best validation and the end
    assert launched(workdir, *SMALL, rows, until) == 0
    assert last(workdir)[2] == {**progress, "since": 1}
    assert launched(workdir, "--config.train.num_epochs=30") == 0
    assert last(workdir) == (step, checksums, progress)


def test_patience_needs_a_validation_set(rows, refused):
    assert "there is no validation set" in refused(*SMALL, rows, "--config.data.validation_fraction=0")
