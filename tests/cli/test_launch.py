"""Configs through `launch.py`, end to end: what is written, what the numbers are, what is said."""

import json
import re
import time
from importlib import import_module
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import jaxvae
import launch
from jaxvae.experiment import defaults

ROOT = Path(__file__).parents[2]
CONFIGS = ["ae", "vae", "vae_2d", "vae_2d_mse", "vae_mse"]
USUAL = ("vae",)
SHORT = ["--config.train.num_epochs=25", "--config.train.eval_every_epochs=10", "--config.evaluate.nll_samples=5",
         "--config.train.batch_size=64", "--config.train.steps_per_call=7", "--config.evaluate.metrics=",
         "--config.evaluate.report=False"]  # fmt: skip


def run(*argv):
    return launch.main(["launch.py", *argv], time.time())


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[] if name in USUAL else pytest.mark.slow) for name in CONFIGS],
)
def finished(request, tmp_path_factory):
    workdir = tmp_path_factory.mktemp(request.param)
    assert run(f"--config=configs/{request.param}.py", f"--workdir={workdir}", *SHORT) == 0
    return request.param, workdir


def results(workdir):
    return json.loads((workdir / "results.json").read_text())


def test_writes_what_it_promises(finished):
    name, workdir = finished
    wanted = {"config.json", "metrics.jsonl", "results.json", "checkpoints", "tensorboard", "figures", ".lock"}
    assert wanted == {p.name for p in workdir.iterdir()}
    pictures = {"curves.png", "samples.png", "reconstructions.png"}
    if "2d" in name:
        pictures |= {"latent_scatter.png", "latent_grid.png"}
    assert pictures == {p.name for p in (workdir / "figures").iterdir()}
    for picture in pictures:
        with Image.open(workdir / "figures" / picture) as image:
            assert np.asarray(image.convert("L")).std() > 5  # something is drawn
    assert list((workdir / "tensorboard").iterdir())
    config = json.loads((workdir / "config.json").read_text())
    assert config["train"]["num_epochs"] == 25
    assert config["name"] == f"{name}-digits"


def test_results_are_consistent(finished):
    name, workdir = finished
    found = results(workdir)
    test = found["test"]
    assert set(test) == {"loss", "elbo", "reconstruction", "kl", "nll", "nll_samples"}
    assert test["loss"] == pytest.approx(test["reconstruction"] + (test["kl"] or 0.0), rel=1e-5)
    if name in ("vae", "vae_2d"):
        assert test["elbo"] == pytest.approx(-test["loss"], rel=1e-6)
        assert test["nll_samples"] == 5
        assert 0 < test["loss"] - test["nll"] < 2  # five samples tighten the bound a little
    else:
        assert test["elbo"] is None
        assert test["nll"] is None
        assert any("not a density" in note for note in found["notes"])
    assert (test["kl"] is None) == (name == "ae")
    assert 0 < found["train_seconds"] < found["total_seconds"]
    assert found["versions"]["jax"] == jax.__version__
    assert found["data"]["examples"] == {"train": 1294, "validation": 144, "test": 359}


def test_the_log_has_train_and_validation_rows_and_falls(finished):
    _, workdir = finished
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    train = [row for row in rows if row["split"] == "train"]
    assert [row["step"] for row in train] == [20 * epoch + end for epoch in range(25) for end in (7, 14, 20)]
    assert [(row["step"], row["epoch"]) for row in rows if row["split"] == "validation"] == [
        (200, 10.0),
        (400, 20.0),
        (500, 25.0),
    ]
    assert train[-1]["loss"] < train[0]["loss"]
    assert all(row["seconds"] > 0 and np.isfinite(row["reconstruction"]) for row in rows)


@pytest.mark.slow
def test_validation_weighs_the_kl_as_at_the_end_of_the_run(tmp_path):
    options = *SHORT, "--config.train.num_epochs=2", "--config.train.eval_every_epochs=1"
    linear = "--config.kl=linear", "--config.kl.beta=2", "--config.kl.fraction=1"
    assert run("--config=configs/vae.py", f"--workdir={tmp_path}", *options, *linear) == 0
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        weight = (row["loss"] - row["reconstruction"]) / row["kl"]
        if row["split"] == "validation":
            assert weight == pytest.approx(2, rel=1e-3)
        else:
            assert weight < 1.9
    test = results(tmp_path)["test"]
    assert test["loss"] == pytest.approx(test["reconstruction"] + 2 * test["kl"], rel=1e-5)


def test_restores_and_reconstructs_better_than_the_mean_image(finished):
    name, workdir = finished
    model, params = jaxvae.restore(workdir)
    dataset = jaxvae.data.load()
    low, high = json.loads((workdir / "config.json").read_text())["data"]["pixel_range"]
    x = low + (high - low) * dataset.test.x.astype(np.float32) / 16
    error = float(((jaxvae.reconstruct(model, params, x) - x) ** 2).mean())
    assert model.encode(params, x).mean.shape == (359, {"ae": 3, "vae_2d": 2, "vae_2d_mse": 2}.get(name, 20))
    assert error < float(((x.mean(axis=0) - x) ** 2).mean())


def test_samples_and_reconstructs_from_the_workdir_alone(finished):
    _, workdir = finished
    assert run(f"--workdir={workdir}", "--mode=sample", "--config.sample.num=10") == 0
    assert run(f"--workdir={workdir}", "--mode=reconstruct", "--config.sample.num=12") == 0
    with np.load(workdir / "samples.npz") as samples, np.load(workdir / "reconstructions.npz") as pairs:
        assert samples["x"].shape == (10, 8, 8, 1)
        assert samples["x"].std() > 0.05
        np.testing.assert_array_equal(pairs["x"][:, :, :, 0], jaxvae.data.load().test.x[:12, :, :, 0])
        assert pairs["reconstruction"].shape == (12, 8, 8, 1)
    for name in ("samples", "reconstructions"):
        (workdir / f"{name}.npz").unlink()


def test_evaluates_again_to_the_same_numbers(finished):
    _, workdir = finished
    before = results(workdir)["test"]
    assert run(f"--workdir={workdir}", "--mode=evaluate") == 0
    assert results(workdir)["test"] == before


@pytest.mark.slow
def test_more_importance_samples_tighten_the_bound(finished, capsys):
    name, workdir = finished
    if name != "vae":
        pytest.skip("one config is enough")
    before = results(workdir)["test"]
    assert run(f"--workdir={workdir}", "--mode=evaluate", "--config.evaluate.nll_samples=200") == 0
    assert results(workdir)["test"]["nll"] < before["nll"]
    assert "NLL, 200 importance samples" in capsys.readouterr().out
    assert run(f"--workdir={workdir}", "--mode=evaluate", "--config.evaluate.nll_samples=5") == 0


def test_the_python_of_the_readme_runs(finished):
    name, workdir = finished
    if name != "vae":
        pytest.skip("the README's run")
    ten_lines = (ROOT / "README.md").read_text().partition("## The library in ten lines")[2]
    code = ten_lines.partition("```python\n")[2].partition("```")[0]
    names = {}
    exec(code.replace("runs/vae-digits", str(workdir)), names)
    assert names["same"].shape == (16, 8, 8, 1)
    assert names["elbo"].shape == (16,)
    assert -100 < names["elbo"].mean() < 0
    assert len(code.strip().splitlines()) < 14


@pytest.mark.slow
@pytest.mark.optimised
@pytest.mark.parametrize(("name", "epochs", "bound"), [("vae", 10, 105.7), ("vae_mse", 20, 66.6)])
def test_mnist_reaches_the_loss_of_its_header(tmp_path, name, epochs, bound):
    argv = [f"--config=configs/{name}.py:mnist", f"--config.train.num_epochs={epochs}", f"--workdir={tmp_path / 'run'}"]
    if run(*argv, "--config.evaluate.nll_samples=1", "--config.train.batch_size=128") != 0:
        pytest.skip("MNIST is not prepared here")
    assert results(tmp_path / "run")["test"]["loss"] <= bound


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_takes_any_data_set_and_says_its_source(name):
    module = import_module(f"configs.{name}")
    assert f"python launch.py --config=configs/{name}.py" in module.__doc__
    assert re.search(r"arXiv:\d{4}\.\d+|tutorial", module.__doc__)
    default = module.get_config().data
    if default.kind == "images":
        assert re.search(r":mnist +# test loss \d+\.\d+", module.__doc__)
    for dataset in ("", "digits", "mnist", "fashion_mnist"):
        config = module.get_config(dataset)
        assert config.data.name == (
            dataset or {"images": "digits", "text": "sentences", "music": "melodies"}[default.kind]
        )
        assert config.keys() == defaults.get_config(name, dataset).keys()


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("poincare_vae",), marks=pytest.mark.slow),
        pytest.param(("svae", "--config.model.latent_dim=2"), marks=pytest.mark.slow),
        pytest.param(("flow_prior", "--config.model.latent_dim=2"), marks=pytest.mark.slow),
        ("vq_vae",),
        pytest.param(("count_vae",), marks=pytest.mark.slow),
        pytest.param(("wae_mmd",), marks=pytest.mark.slow),
    ],
    ids=lambda options: options[0],
)
def test_other_latents_and_likelihoods_from_start_to_end(options, tmp_path, capsys):
    name, *rest = options
    workdir = f"--workdir={tmp_path / 'run'}"
    assert run(f"--config=configs/{name}.py", workdir, *SHORT, "--config.train.num_epochs=2", *rest) == 0
    for mode in ("evaluate", "sample", "reconstruct"):
        assert run(workdir, f"--mode={mode}") == 0
    found = results(tmp_path / "run")
    assert np.isfinite(found["test"]["loss"])
    pictures = {p.name for p in (tmp_path / "run" / "figures").iterdir()}
    assert ("latent_scatter.png" in pictures) == (name in ("poincare_vae", "svae", "flow_prior"))
    assert "latent_grid.png" not in pictures  # its prior has no quantiles by dimension
    assert ("codes_used" in found["test"]) == (name == "vq_vae")
    if name == "count_vae":
        bits = found["test"]["nll"] / 64 / np.log(2)
        assert found["test"]["bits_per_dim"] == pytest.approx(bits)
    with np.load(tmp_path / "run" / "reconstructions.npz") as arrays:
        assert 0 <= arrays["x"].min() < arrays["x"].max() == 16


@pytest.mark.slow
def test_own_data_trains(tmp_path):
    x = (np.random.default_rng(0).random((200, 6, 9)) * 255).astype(np.uint8)
    np.savez(tmp_path / "mine.npz", x=x)
    argv = [
        "--config=configs/vae_2d.py",
        f"--config.data.path={tmp_path / 'mine.npz'}",
        f"--workdir={tmp_path / 'run'}",
        *SHORT,
        "--config.train.num_epochs=1",
    ]
    assert run(*argv) == 0
    model, _ = jaxvae.restore(tmp_path / "run")
    assert model.data_shape == (6, 9, 1)
    assert {"latent_scatter.png", "latent_grid.png"} <= {p.name for p in (tmp_path / "run/figures").iterdir()}
