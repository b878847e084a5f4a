"""Where runs are saved, which data and checkpoint they are judged on, and which mistakes of data are answered."""

import functools
import json
import shutil
import time
import types
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

import jaxvae
import launch
from jaxvae import UserError
from jaxvae.experiment import configs, defaults
from jaxvae.latent import samplers
from jaxvae.report import outputs

TINY = {"network.hidden": (8,), "train.num_epochs": 2, "train.batch_size": 32, "train.steps_per_call": 5,
        "train.eval_every_epochs": 1, "model.latent_dim": 3, "evaluate.nll_samples": 4, "figures.draw": False,
        "evaluate.metrics": ""}  # fmt: skip


@pytest.fixture(scope="module")
def run(images):
    return jaxvae.fit("vae", images, TINY, progress=False)


@pytest.fixture(scope="module")
def saved(tmp_path_factory, run):
    folder = tmp_path_factory.mktemp("runs") / "mine"
    run.save(folder)
    run.save(folder)  # to its own folder, again
    return folder


def test_a_folder_of_another_run_with_the_same_settings_is_refused(images, run, saved):
    other = jaxvae.fit("vae", images[::-1].copy(), TINY, progress=False)
    assert other.config == run.config
    with pytest.raises(UserError, match="holds another run: its settings are the same, but its data or its weights"):
        other.save(saved)
    np.testing.assert_array_equal(jaxvae.load(saved).encode(images), run.encode(images))


def test_it_is_judged_on_the_data_and_the_checkpoint_that_are_asked_for(tmp_path, images, saved):
    np.savez(tmp_path / "other.npz", x=images[:30])
    last = jaxvae.load(saved, "last", data=images)
    own, other = last.evaluate(), last.evaluate(data=str(tmp_path / "other.npz"))
    assert own["checkpoint"]["which"] == "last"
    assert jaxvae.load(saved, data=images).evaluate()["checkpoint"]["which"] == "best"
    assert other["data"]["examples"]["test"] == 30
    assert other["test"]["loss"] != own["test"]["loss"]
    in_memory = last.evaluate(data={"x_train": images[30:], "x_test": images[:30]})
    assert in_memory["test"] == other["test"] == last.evaluate(data=images[:30])["test"]
    assert in_memory["data"]["name"] == "arrays"
    with pytest.raises(UserError, match=r"The data to evaluate cannot be used: .* shape \(9, 3, 4, 1\); the run"):
        last.evaluate(data=images[:9, 1:])
    with pytest.raises(UserError, match=r"evaluate that of jaxvae.load\(folder, checkpoint=...\)"):
        last.evaluate(checkpoint="best")


def test_a_report_in_another_folder_comes_with_the_run(tmp_path, images, saved, monkeypatch):
    monkeypatch.setattr(outputs, "finish", lambda run, workdir, timing: None)  # for speed
    loaded = jaxvae.load(saved, data=images)
    for _ in range(2):
        assert loaded.report(tmp_path / "copy") == tmp_path / "copy" / "report.html"
    np.testing.assert_array_equal(jaxvae.load(tmp_path / "copy").encode(images), loaded.encode(images))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        loaded.report(tmp_path / "taken")


@pytest.mark.slow
def test_a_report_is_written(tmp_path, images, run):
    assert run.report(tmp_path / "mine") == tmp_path / "mine" / "report.html"
    assert "nats per example" in (tmp_path / "mine" / "report.html").read_text()
    found = json.loads((tmp_path / "mine" / "results.json").read_text())
    assert found["test"]["loss"] == pytest.approx(run.evaluate()["test"]["loss"])
    np.testing.assert_array_equal(jaxvae.load(tmp_path / "mine").encode(images), run.encode(images))


@pytest.mark.slow
def test_the_loop_of_the_docs_makes_runs_that_are_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = (Path(__file__).parents[2] / "docs/python.md").read_text().partition("**Three betas, three seeds.**")[2]
    few = functools.partial(jaxvae.fit, settings={**TINY, "evaluate.report": False}, progress=False)
    exec(code.partition("```python\n")[2].partition("```")[0], {"jaxvae": types.SimpleNamespace(fit=few)})
    assert launch.main(["jaxvae", "compare", *map(str, sorted(tmp_path.glob("runs/b*")))], time.time()) == 0
    assert capsys.readouterr().out.count("mean of 3 runs") == 3
    assert (tmp_path / "comparison" / "nll.png").exists()


def test_a_file_or_a_folder_with_other_files_does_not_become_the_folder_of_a_run(tmp_path, images, run, saved):
    (tmp_path / "t.csv").write_text("a,b")
    for made in (run, jaxvae.load(saved)):
        with pytest.raises(UserError, match=r"t.csv' is a file, so that '.*t.csv' cannot be the folder of a run"):
            made.save(tmp_path / "t.csv")
        with pytest.raises(UserError, match=r"is not empty, and holds no run .*: give a new folder"):
            made.save(tmp_path)
    with pytest.raises(UserError, match=r"t.csv' is a file, so that '.*sub' cannot be"):
        jaxvae.fit("vae", images, TINY, workdir=tmp_path / "t.csv" / "sub", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_no_examples_are_refused(images, run):
    calls = (run.encode, run.reconstruct, run.log_likelihood, run.impute)
    for call, empty in [*((call, images[:0]) for call in calls), (run.decode, np.zeros((0, 3)))]:
        with pytest.raises(UserError, match=r"There are no examples: the array has shape \(0, "):
            call(empty)


@pytest.mark.parametrize("name", ["mine.npz", "./here/mine", "here/mine.csv"])
def test_a_missing_file_is_said_to_be_missing(name, run):
    said = f"'{name}' does not exist, seen from .* Give the path of arrays"
    with pytest.raises(UserError, match=said):
        jaxvae.fit("vae", name)
    with pytest.raises(UserError, match=f"evaluate.data is '{name}', which cannot be used: .*{said}"):
        run.evaluate(data=name)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda run, x: run.sample("3"), r"sample\.num is '3'; it must be of type int"),
        (lambda run, x: run.sample(2.5), r"sample\.num is 2\.5; it must be of type int"),
        (lambda run, x: run.sample(2, temperature="a"), r"sample\.temperature is 'a'; it must be of type float"),
        (lambda run, x: run.sample(2, seed="a"), r"seed is 'a'; it must be of type int"),
        (
            lambda run, x: run.log_likelihood(x, num_samples="a"),
            r"evaluate\.nll_samples is 'a'; it must be of type int",
        ),
        (lambda run, x: run.decode("a"), r"z is not an array of numbers, \[N, 3\]: could not convert"),
        (lambda run, x: run.plot_latents("tset"), r"Unknown split 'tset'\. Did you mean 'test'"),
    ],
)
def test_arguments_of_another_type_are_answered(images, run, call, said):
    with pytest.raises(UserError, match=said):
        call(run, images)


def test_a_loss_of_a_run_in_memory_that_is_not_finite_promises_no_checkpoint(images):
    with pytest.raises(UserError, match=r"became .*Try a smaller .* Nothing is kept of this run\.$"):
        jaxvae.fit("vae", images, {**TINY, "optimizer.learning_rate": 1e30}, progress=False)


def test_arrays_are_encoded_from_their_file(tmp_path, images, run):
    np.savez(tmp_path / "faces.npz", faces=images, person=np.arange(120))
    np.testing.assert_array_equal(run.encode(tmp_path / "faces.npz"), run.encode(images))
    np.savez(tmp_path / "split.npz", x_train=images, x_test=images)
    with pytest.raises(UserError, match=r"split.npz' holds the splits train, test: read the file, and give the data"):
        run.encode(tmp_path / "split.npz")


def test_a_run_is_printed_in_one_line(run, saved):
    said = "vae-arrays: data [4, 4, 1], latents [3], 2 epochs"
    assert repr(run) == f"<jaxvae.Run {said}, in memory>"
    assert repr(jaxvae.load(saved)) == f"<jaxvae.Run {said}, {saved}>"


def test_numbers_of_numpy_are_numbers(run):
    np.testing.assert_array_equal(
        run.sample(np.int64(2), seed=np.int32(3), temperature=np.float32(1)), run.sample(2, 3)
    )


def test_the_plane_of_three_latents_is_of_principal_components(run):
    axes = run.plot_latents().axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("principal component 1", "principal component 2")


@pytest.mark.slow
def test_the_settings_of_a_loaded_run_train_another(images, run, saved):
    again = jaxvae.fit(jaxvae.load(saved).config, images, progress=False)
    np.testing.assert_array_equal(again.encode(images), run.encode(images))


def test_a_run_of_an_earlier_version_has_the_settings_that_it_lacks(tmp_path, saved):
    shutil.copytree(saved, tmp_path / "old")
    path = tmp_path / "old" / "config.json"
    config = json.loads(path.read_text())
    del config["encode"], config["evaluate"]["data"], config["train"]["patience"]
    path.write_text(json.dumps(config))
    assert jaxvae.load(tmp_path / "old").config == jaxvae.load(saved).config


def test_the_result_of_a_get_config_trains_as_its_name_does(images, run):
    config = ConfigDict(defaults.sized_for_own(configs.load("vae")))
    again = jaxvae.fit(config, images, TINY, progress=False)
    np.testing.assert_array_equal(again.encode(images), run.encode(images))
    assert again.config == run.config
    assert config.network.hidden != TINY["network.hidden"]  # that of the user is not changed


def test_counts_go_in_and_come_out_as_counts():
    counts = np.random.default_rng(0).poisson([3.0, 40.0, 900.0], (120, 3))
    settings = {**TINY, "data.pixel_range": (), "model.likelihood": "poisson", "train.num_epochs": 1}
    run = jaxvae.fit("vae", counts, settings, progress=False)
    drawn, means = run.sample(200), run.reconstruct(counts)
    np.testing.assert_array_equal(drawn, np.rint(drawn))
    assert drawn.max() > 1
    assert np.all(np.isfinite(run.log_likelihood(drawn)))
    np.testing.assert_allclose(means, run.decode(run.encode(counts)), rtol=1e-5)
    expected = run.model.decode(run.params, run.model.encode(run.params, counts.astype(np.float32)).mean).mean
    np.testing.assert_allclose(means, expected, rtol=1e-4)
    assert run.encode(np.rint(means)).shape == (120, 3)
    with pytest.raises(UserError, match=r"Round means of counts first"):
        run.encode(np.log1p(counts))


def test_samples_are_judged_by_the_sampler_that_is_asked_for(run):
    mixture = {"name": "gmm", "components": 3}
    prior, gmm, cold = (
        run.evaluate("frechet", nll_samples=2, **how)["metrics"]["frechet"]
        for how in ({}, {"sampler": mixture}, {"temperature": 0.0})
    )
    said = {"sampler": "gmm", "sampler_options": {"components": 3}, "temperature": 1.0}
    assert {name: gmm[name] for name in said} == said
    assert (prior["sampler"], cold["sampler"], cold["temperature"]) == ("prior", "prior", 0.0)
    assert len({found["frechet_distance"] for found in (prior, gmm, cold)}) == 3
    assert prior["reconstructions"] == gmm["reconstructions"] == cold["reconstructions"]
    for how, words in (({"sampler": "gm"}, "Did you mean 'gmm'"), ({"samplers": "gmm"}, "evaluate.samplers"),
                       ({"sampler": samplers.gmm(components=3)}, "names the sampler")):  # fmt: skip
        with pytest.raises(UserError, match=words):
            run.evaluate("frechet", **how)
