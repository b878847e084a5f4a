"""Runs on data with a context and with missing values, through the command line."""

import json
import time

import jax
import numpy as np
import pytest

import launch
from jaxvae import given, restore, sample

pytestmark = pytest.mark.slow

ROWS = np.arange(120)
BRIGHT = ROWS % 2 == 0
X = np.where(BRIGHT[:, None], 0.9, 0.1) * np.ones((120, 6)) + 0.05 * np.random.default_rng(0).uniform(size=(120, 6))
SHORT = ("--config.train.num_epochs=60", "--config.train.batch_size=16", "--config.evaluate.nll_samples=5",
         "--config.model.latent_dim=2", "--config.network.hidden=(16,)", "--config.evaluate.report=False",
         "--config.figures.draw=False",
         "--config.optimizer.learning_rate=0.01")  # fmt: skip


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conditional")
    np.savez(folder / "lamps.npz", x=X.astype(np.float32), context=BRIGHT[:, None].astype(np.float64))
    argv = ["launch.py", "--config=configs/vae.py", f"--config.data.path={folder}/lamps.npz", *SHORT]
    assert launch.main([*argv, f"--workdir={folder}/run"], time.time()) == 0
    return folder / "run"


def test_a_conditional_run_draws_by_its_context(conditional):
    model, params = restore(conditional)
    assert model.context_dim == 1
    dark, bright = (
        float(np.mean(sample(given(model, np.asarray([value], np.float32)), params, jax.random.key(0), 50)))
        for value in (0.0, 1.0)
    )
    assert dark < 0.3 < 0.7 < bright


def test_a_conditional_run_says_what_its_numbers_are_of(conditional):
    results = json.loads((conditional / "results.json").read_text())
    assert results["test"]["nll"] < 6 * np.log(2)
    assert any("each example at its own context" in note for note in results["notes"])


def test_its_metrics_take_each_example_at_its_own_context(conditional, tmp_path, capsys):
    """Bright rows at the context of dark ones are outliers; the same rows at their own are none."""
    argv = ["launch.py", "--mode=evaluate", f"--workdir={conditional}", "--config.evaluate.metrics=ais,outliers",
            "--config.evaluate.ais_examples=3", "--config.evaluate.ais_temperatures=5",
            "--config.evaluate.ais_chains=2", "--config.evaluate.report=False"]  # fmt: skip
    areas = []
    for name, context in (("own", BRIGHT), ("other", ~BRIGHT)):
        np.savez(tmp_path / f"{name}.npz", x=X.astype(np.float32), context=context[:, None].astype(np.float32))
        assert launch.main([*argv, f"--config.evaluate.outliers={tmp_path}/{name}.npz"], time.time()) == 0
        metrics = json.loads((conditional / "results.json").read_text())["metrics"]
        areas.append(metrics["outliers"]["nll"])
    assert 0.2 < areas[0] < 0.8 < 0.95 < areas[1]
    assert metrics["ais"]["nll"] < 6 * np.log(2)
    np.savez(tmp_path / "none.npz", x=X.astype(np.float32))
    assert launch.main([*argv, f"--config.evaluate.outliers={tmp_path}/none.npz"], time.time()) == 2
    assert "cannot be scored at their own context" in capsys.readouterr().err


@pytest.mark.parametrize(
    "mode", [("--mode=sample",), ("--mode=reconstruct",), ("--mode=tool", "--config.tool=interpolate")]
)
def test_every_mode_takes_a_conditional_run(conditional, mode):
    assert launch.main(["launch.py", f"--workdir={conditional}", *mode], time.time()) == 0


def test_a_run_on_incomplete_rows(tmp_path):
    mask = np.random.default_rng(1).uniform(size=X.shape) < 0.7
    np.savez(tmp_path / "holes.npz", x=np.where(mask, X, np.nan).astype(np.float32), mask=mask)
    argv = ["launch.py", "--config=configs/vae.py", f"--config.data.path={tmp_path}/holes.npz", *SHORT]
    assert launch.main([*argv, "--config.evaluate.metrics=", f"--workdir={tmp_path}/run"], time.time()) == 0
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert np.isfinite(results["test"]["nll"])
    assert results["test"]["nll"] < 6 * 0.7 * np.log(2)
