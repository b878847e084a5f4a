"""`--mode=sample` with each sampler: what is written, what the temperature does, what is refused."""

import shutil
import time

import numpy as np
import pytest

import launch
from jaxvae.experiment.setup import setup
from jaxvae.latent.samplers import SAMPLERS
from jaxvae.report.run_figures import samples
from jaxvae.runs.restore import restore_run
from jaxvae.runs.trained_run import TrainedRun

SHORT = ("--config.train.eval_every_epochs=100", "--config.evaluate.report=False",
         "--config.figures.draw=False", "--config.evaluate.nll_samples=2",
         "--config.evaluate.metrics=", "--config.train.batch_size=16")  # fmt: skip
QUICK = {
    "prior": {}, "gmm": {"components": 3}, "flow": {"num_flows": 2, "hidden": "(8,)", "steps": 5},
    "two_stage": {"hidden": "(8,)", "steps": 5}, "pseudo_inputs": {"components": 20},
    "autoregressive": {"hidden": "(8,)", "steps": 5},
}  # fmt: skip


def launched(*argv):
    assert launch.main(["launch.py", *argv], time.time()) == 0


def options(name, **given):
    return [f"--config.sample.sampler={name}", *(f"--config.sample.sampler.{k}={v}" for k, v in given.items())]


def drawn(workdir, *argv):
    launched(f"--workdir={workdir}", "--mode=sample", *argv)
    with np.load(workdir / "samples.npz", allow_pickle=False) as arrays:
        assert arrays.files == ["x"]
        return arrays["x"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "blobs.npz"
    x = np.random.default_rng(0).random((200, 1, 1)) > np.arange(6) / 6  # what varies is how bright a picture is
    np.savez(path, x=np.repeat(x, 5, axis=1).astype(np.float32))
    return path


@pytest.fixture(scope="module")
def vae(data, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("vae") / "run"
    argv = f"--config.data.path={data}", "--config.train.num_epochs=5"
    launched("--config=configs/vae_2d.py", *argv, *SHORT, f"--workdir={workdir}")
    return workdir


@pytest.fixture(scope="module")
def codes(data, tmp_path_factory):
    """A VQ-VAE."""
    workdir = tmp_path_factory.mktemp("vq") / "run"
    argv = f"--config.data.path={data}", "--config.train.num_epochs=1", "--config.model.posterior.codebook_size=5"
    launched("--config=configs/vq_vae.py", *argv, *SHORT, f"--workdir={workdir}")
    return workdir


def run_of(request, name):
    return request.getfixturevalue("codes" if name == "autoregressive" else "vae")


SLOW = {"flow", "two_stage", "pseudo_inputs", "autoregressive"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in SAMPLERS]
)
def test_a_sampler_writes_samples(name, request):
    workdir, argv = run_of(request, name), options(name, **QUICK[name])
    x = drawn(workdir, *argv, "--config.sample.num=10")
    assert x.shape == (10, 5, 6, 1)
    assert 0 <= x.min() < x.max() <= 1
    assert (workdir / "figures" / "samples.png").exists()
    assert len(np.unique(x.reshape(10, -1), axis=0)) > 1
    np.testing.assert_array_equal(drawn(workdir, *argv, "--config.sample.num=10"), x)


def test_the_figure_after_training_is_of_the_sampler_of_the_settings(vae, tmp_path):
    shutil.copytree(vae, tmp_path / "run")

    def pictures(name):
        argv = options(name, **QUICK[name])
        launched(f"--workdir={tmp_path / 'run'}", "--mode=evaluate", "--config.figures.draw=True", *argv)
        return [(tmp_path / f"run/figures/{each}.png").read_bytes() for each in ("samples", "reconstructions")]

    prior, gmm, again = (pictures(name) for name in ("prior", "gmm", "prior"))
    assert prior == again
    assert [a == b for a, b in zip(prior, gmm, strict=True)] == [False, True]
    restored = restore_run(tmp_path / "run")
    run = TrainedRun(setup(restored.config), restored)
    assert run.own_draw() is None
    experiment, draw = run.experiment, run.draw({"name": "gmm", "components": 3})
    by_prior, by_gmm = (samples(experiment, run.params, each) for each in (None, draw))
    assert by_prior.shape == by_gmm.shape == (64, 1, 5, 6, 1)
    assert np.abs(by_prior - by_gmm).max() > 0.05


@pytest.mark.parametrize(
    "name", ["prior", *(pytest.param(n, marks=pytest.mark.slow) for n in ("gmm", "flow", "two_stage"))]
)
def test_another_seed_draws_others_and_more_draws_begin_with_the_same(name, vae):
    argv = options(name, **QUICK[name])
    x = drawn(vae, *argv, "--config.sample.num=10")
    assert (drawn(vae, *argv, "--config.sample.num=10", "--config.sample.seed=1") != x).any()
    if name != "prior":  # the prior draws all at once
        np.testing.assert_array_equal(drawn(vae, *argv, "--config.sample.num=12")[:10], x)


@pytest.mark.parametrize(
    "name", ["prior", *(pytest.param(name, marks=pytest.mark.slow) for name in ("flow", "two_stage", "autoregressive"))]
)
def test_at_temperature_0_all_samples_are_one(name, request):
    x = drawn(run_of(request, name), *options(name, **QUICK[name]), "--config.sample.temperature=0")
    np.testing.assert_allclose(x, np.broadcast_to(x[:1], x.shape), atol=1e-6)


def test_at_temperature_0_a_mixture_gives_its_means(vae):
    x = drawn(vae, *options("gmm", components=3), "--config.sample.temperature=0")
    assert len(np.unique(x.reshape(len(x), -1).round(5), axis=0)) == 3


def test_the_prior_needs_no_data_and_others_do(data, vae, capsys, refused):
    x, moved = drawn(vae), data.with_suffix(".away")
    data.rename(moved)
    try:
        np.testing.assert_array_equal(drawn(vae), x)
        capsys.readouterr()
        message = refused(f"--workdir={vae}", "--mode=sample", *options("gmm", components=3))
        assert "does not exist" in message
    finally:
        moved.rename(data)


@pytest.mark.parametrize(
    ("run", "argv", "said"),
    [
        ("vae", options("gm"), "Unknown sampler 'gm'. Did you mean 'gmm'?"),
        ("vae", options("gmm", component=3), "Unknown option 'component' of the sampler 'gmm'"),
        ("vae", options("gmm", components="x"), "components='x'; it must be of type int"),
        ("vae", options("gmm", components=0), "components=0; it must be 1 or more"),
        ("vae", options("gmm", components=145), "only 144 training examples"),
        ("vae", options("gmm", covariance="round"), "Unknown covariance of the sampler 'gmm' 'round'"),
        ("vae", options("flow", steps=0), "steps=0; it must be 1 or more"),
        ("vae", options("autoregressive"), "'autoregressive' does not fit latents in R^n. Samplers that do: prior"),
        pytest.param("codes", options("gmm"), "'gmm' does not fit latents in ", marks=pytest.mark.slow),
        pytest.param(
            "codes", options("flow"), "Samplers that do: prior, pseudo_inputs, autoregressive", marks=pytest.mark.slow
        ),
        pytest.param("codes", ["--config.sample.temperature=0.5"], "0.5", marks=pytest.mark.slow),
        ("vae", ["--config.sample.temperature=-1"], "sample.temperature is -1.0; it must be 0 or more"),
        ("vae", ["--config.sample.temperature=nan"], "sample.temperature is nan"),
        ("vae", ["--config.sample.num=0"], "sample.num is 0; it must be 1 or more"),
    ],
)
def test_a_mistake_is_refused(run, argv, said, request, refused):
    assert said in refused(f"--workdir={request.getfixturevalue(run)}", "--mode=sample", *argv)
