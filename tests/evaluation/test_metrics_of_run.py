"""The metrics of trained runs, through `--mode=evaluate`: which are there, what they are, what is refused."""

import base64
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import jaxvae
import launch
from jaxvae import data
from jaxvae.evaluation.of_factors import FACTOR_SCORES
from jaxvae.evaluation.of_tables import TABLE_SCORES
from jaxvae.evaluation.results import label, table
from jaxvae.evaluation.table import METRICS
from jaxvae.metrics import information_gap
from jaxvae.runs.trained_run import some_rows

ROOT = Path(__file__).parents[2]
QUICK = (
    "--config.evaluate.report=False", "--config.evaluate.nll_samples=5", "--config.evaluate.max_examples=1000",
    "--config.evaluate.ais_examples=4", "--config.evaluate.ais_chains=2", "--config.evaluate.ais_temperatures=3",
)  # fmt: skip
SHORT = (*QUICK, "--config.evaluate.metrics=", "--config.train.eval_every_epochs=100")
DIGITS = ("--config=configs/vae.py", "--config.train.num_epochs=25", "--config.network.hidden=(64,)",
          "--config.optimizer.learning_rate=0.005", "--config.model.latent_dim=8",
          "--config.train.steps_per_call=50")  # fmt: skip
SHAPES = ("--config=configs/beta_vae.py:shapes", "--config.train.num_epochs=1", "--config.network.hidden=(64,)",
          "--config.data.image_size=16", "--config.train.steps_per_call=97")  # fmt: skip
OF_CODES = ("linear_probe", "knn", "few_labels", "clustering", "frechet", "prdc", "fidelity")
FEW = "--config.evaluate.max_examples=500"
OTHER = {"outliers", *TABLE_SCORES}  # need another data set, or a table


def launched(*argv):
    assert launch.main(["launch.py", *argv], time.time()) == 0


def train(tmp_path_factory, *argv):
    workdir = tmp_path_factory.mktemp("runs") / "run"
    launched(*argv, *SHORT, f"--workdir={workdir}")
    return workdir


def results(workdir):
    return json.loads((workdir / "results.json").read_text())


def evaluated(workdir, metrics, *argv):
    launched(f"--workdir={workdir}", "--mode=evaluate", *QUICK, f"--config.evaluate.metrics={metrics}", *argv)
    return results(workdir)


def refused_metric(refused, workdir, metrics, *argv):
    return refused(f"--workdir={workdir}", "--mode=evaluate", *QUICK, f"--config.evaluate.metrics={metrics}", *argv)


def contents(workdir):
    files = [*(workdir / "checkpoints").rglob("*"), workdir / "metrics.jsonl", workdir / "config.json"]
    return {path: path.read_bytes() for path in files if path.is_file()}


def numbers(value):
    if isinstance(value, dict):
        return [n for v in value.values() for n in numbers(v)]
    if isinstance(value, list):
        return [n for v in value for n in numbers(v)]
    return [] if isinstance(value, str) else [value]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return train(tmp_path_factory, *DIGITS)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return train(tmp_path_factory, "--config=configs/ae.py", "--config.train.num_epochs=2")


@pytest.fixture(scope="module")
def codes(tmp_path_factory):
    """A VQ-VAE."""
    return train(tmp_path_factory, "--config=configs/vq_vae.py", "--config.train.num_epochs=2")


@pytest.fixture(scope="module")
def on_tiny(tmp_path_factory):
    """What trains on 20 examples without labels, of which 4 are for testing."""
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    np.savez(path, x=np.random.default_rng(0).random((20, 4, 4), dtype=np.float32))
    argv = f"--config.data.path={path}", "--config.train.num_epochs=1", "--config.train.batch_size=8"
    return "--config=configs/ae.py", *argv


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, on_tiny):
    return train(tmp_path_factory, *on_tiny)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return train(tmp_path_factory, *SHAPES)


@pytest.fixture(scope="module")
def all_of_shapes(shapes):
    return evaluated(shapes, "all", FEW)


@pytest.fixture(scope="module")
def everything(digits):
    """What "all" gives on the digits, and the files of the run before and after."""
    before = contents(digits)
    found = evaluated(digits, "all")
    return found, before, contents(digits)


@pytest.mark.slow
def test_all_on_digits_is_what_fits(everything):
    found, *_ = everything
    assert set(found["metrics"]) == set(METRICS) - set(FACTOR_SCORES) - OTHER
    values = numbers(found["metrics"])
    assert len(values) > 50
    assert all(math.isfinite(value) for value in values)
    assert not any("left out" in note for note in found["notes"])


@pytest.mark.slow
def test_evaluation_leaves_the_run_as_it_was(everything):
    _, before, after = everything
    assert len(before) > 5
    assert before == after


@pytest.mark.slow
def test_evaluation_gives_the_same_bits_twice(digits, everything):
    first, *_ = everything
    again = evaluated(digits, "all")
    assert again["metrics"] == first["metrics"]
    assert again["test"] == first["test"]


@pytest.mark.slow
def test_all_on_shapes_has_the_factor_scores(all_of_shapes):
    found, printed = all_of_shapes["metrics"], table(all_of_shapes)
    assert set(found) == set(METRICS) - OTHER
    assert all(math.isfinite(value) for value in numbers(found))
    for name in FACTOR_SCORES:
        assert all(-0.1 < value <= 1 for value in found[name].values())  # irs may lie a little below 0
        if name != "dci":
            assert found[name].keys() == {name}
            assert f"\n  {label(name):<40}{found[name][name]:10.3f}\n" in printed


@pytest.mark.slow
def test_mig_of_a_run_is_that_of_its_posteriors(shapes, all_of_shapes):
    model, params = jaxvae.restore(shapes)
    dataset = data.load("shapes", image_size=16)
    rows = some_rows(len(dataset.test.x), 500)
    q = model.encode(params, dataset.test.x[rows] / np.float32(dataset.max_value)).base_dist
    expected = information_gap.mig(q.loc, q.scale, dataset.test.factors[rows], seed=0)
    assert all_of_shapes["metrics"]["mig"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_the_rate_distortion_curve_is_drawn_and_in_the_report(tiny):
    evaluated(tiny, "rate_distortion", "--config.evaluate.report=True")
    picture = (tiny / "figures" / "rate_distortion.png").read_bytes()
    assert base64.b64encode(picture).decode() in (tiny / "report.html").read_text()


@pytest.mark.slow
def test_all_on_an_autoencoder_and_on_codes_leaves_out_what_does_not_fit(plain, codes):
    found = evaluated(plain, "all")
    assert not {"ais", "aggregate_kl"} & set(found["metrics"])
    assert set(OF_CODES) <= set(found["metrics"])
    assert found["metrics"]["rate_distortion"]["distortion_unit"] == "units of the reconstruction loss"
    found = evaluated(codes, "all")
    assert not {"ais", "rate_distortion", "aggregate_kl"} & set(found["metrics"])
    assert set(OF_CODES) <= set(found["metrics"])
    assert not any("left out" in note for note in found["notes"])


def one_device(workdir, metrics, *argv):
    command = [sys.executable, "launch.py", f"--workdir={workdir}", "--mode=evaluate", *QUICK, *argv]
    flags = os.environ["XLA_FLAGS"].replace("device_count=8", "device_count=1")
    env = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
    subprocess.run([*command, f"--config.evaluate.metrics={metrics}"], env=env, cwd=ROOT, check=True)
    return results(workdir)


def assert_same_on_one_device(workdir, metrics, eight, *argv):
    one = one_device(workdir, metrics, *argv)
    assert one["devices"] == "1 cpu"
    assert eight["devices"] == "8 cpu"
    for name, value in eight["test"].items():
        assert one["test"][name] == pytest.approx(value, rel=1e-5), name
    for name in one["metrics"]:  # all done on one device
        assert one["metrics"][name] == eight["metrics"][name], name


@pytest.mark.slow
def test_one_device_gives_what_eight_give(digits, everything):
    assert_same_on_one_device(digits, ",".join(("collapse", "aggregate_kl", *OF_CODES)), everything[0])


@pytest.mark.slow
def test_one_device_gives_of_the_factor_scores_what_eight_give(shapes, all_of_shapes):
    assert_same_on_one_device(shapes, ",".join(FACTOR_SCORES), all_of_shapes, FEW)


@pytest.mark.slow
def test_one_device_gives_of_all_metrics_what_eight_give(digits, everything):
    assert_same_on_one_device(digits, "all", everything[0])


@pytest.mark.slow
def test_the_linear_probe_is_scikit_learns_on_restored_codes(digits, everything):
    model, params = jaxvae.restore(digits)
    data = jaxvae.data.load()
    train, test = (np.asarray(model.encode(params, split.x / np.float32(16)).mean) for split in (data.train, data.test))
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)).fit(train, data.train.label)
    found = everything[0]["metrics"]
    assert found["linear_probe"]["accuracy"] == pytest.approx(probe.score(test, data.test.label), abs=1.1 / 359)
    distance = np.linalg.norm(test[:, None] - train, axis=-1)
    nearest = data.train.label[np.argsort(distance, axis=1)[:, :10]]
    votes = np.argmax([np.bincount(row, minlength=10) for row in nearest], axis=1)
    assert found["knn"]["accuracy"] == pytest.approx(np.mean(votes == data.test.label), abs=1.1 / 359)


@pytest.mark.slow
def test_kls_agree_with_each_other(everything):
    found, *_ = everything
    collapse, split = found["metrics"]["collapse"], found["metrics"]["aggregate_kl"]
    assert collapse["kl"] == pytest.approx(found["test"]["kl"], rel=1e-5)  # both in closed form
    assert sum(collapse["kl_by_variable"]) == pytest.approx(collapse["kl"], rel=1e-6)
    assert split["kl"] == pytest.approx(collapse["kl"], rel=0.05)  # one draw of z an example
    assert split["mutual_information"] + split["marginal_kl"] == pytest.approx(split["kl"], rel=1e-6)
    assert split["total_correlation"] + split["dimension_wise_kl"] == pytest.approx(split["marginal_kl"], rel=1e-6)


@pytest.mark.slow
def test_fidelity_is_that_of_the_reconstructions_that_are_written(digits, everything):
    launched(f"--workdir={digits}", "--mode=reconstruct", "--config.sample.num=1000")
    with np.load(digits / "reconstructions.npz") as arrays:
        error = np.square(arrays["x"].astype(np.float64) - arrays["reconstruction"]).mean(axis=(1, 2, 3))
    assert len(error) == 359
    assert everything[0]["metrics"]["fidelity"]["psnr"] == pytest.approx(np.mean(-10 * np.log10(error)), rel=1e-6)


@pytest.mark.slow
def test_sample_quality_is_that_of_the_sampler_and_the_features_of_the_settings(digits, everything):
    prior = everything[0]["metrics"]["frechet"]
    how = {"features": "pca", "sampler": "prior", "sampler_options": {}, "temperature": 1.0, "examples": 359}
    assert {name: prior[name] for name in how} == how
    assert {name: everything[0]["metrics"]["prdc"][name] for name in how} == how
    sampler = "--config.sample.sampler=gmm", "--config.sample.sampler.components=5"
    gmm = evaluated(digits, "frechet", *sampler)["metrics"]["frechet"]
    assert (gmm["sampler"], gmm["sampler_options"]) == ("gmm", {"components": 5})
    assert gmm["frechet_distance"] != prior["frechet_distance"]
    cold = evaluated(digits, "frechet,prdc", "--config.sample.temperature=0")["metrics"]
    assert cold["frechet"]["frechet_distance"] > 1.2 * prior["frechet_distance"]  # one picture, again and again
    assert cold["prdc"]["recall"] == 0
    assert cold["prdc"]["temperature"] == 0
    own = evaluated(digits, "frechet", f"--config.evaluate.features={digits}")["metrics"]["frechet"]
    assert own["features"] == str(digits)
    assert own["frechet_distance"] != prior["frechet_distance"]


@pytest.mark.slow
def test_inverted_digits_are_outliers_and_digits_are_none(digits, tmp_path):
    np.savez(tmp_path / "inverted.npz", x=1 - jaxvae.data.load().test.x / np.float32(16))
    found = evaluated(digits, "outliers", f"--config.evaluate.outliers={tmp_path / 'inverted.npz'}")["metrics"]
    assert found["outliers"].keys() == {"nll", "reconstruction", "kl", "nll_samples"}
    assert found["outliers"]["nll_samples"] == 50
    assert found["outliers"]["nll"] > 0.99
    assert found["outliers"]["reconstruction"] > 0.99
    found = evaluated(digits, "outliers", "--config.evaluate.outliers=digits")["metrics"]["outliers"]
    assert found["kl"] == 0.5  # in closed form, of the same examples
    assert found["nll"] == pytest.approx(0.5, abs=0.02)
    assert found["reconstruction"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("run", "metrics", "said", "fits"),
    [
        ("digits", "linear_prob", r"Unknown metric 'linear_prob'. Did you mean 'linear_probe'?", "clustering"),
        ("digits", "all,mig", "give 'all' alone", None),
        ("digits", "knn, mig", "'mig' needs true factors, which the data lacks", "linear_probe"),
        ("digits", "outliers", "'outliers' needs another data set in evaluate.outliers", "prdc"),
        ("tiny", "knn", "'knn' needs labels, which the data lacks", "rate_distortion"),
        pytest.param(
            "plain", "ais", "'ais' needs a likelihood that is a density", "rate_distortion", marks=pytest.mark.slow
        ),
        pytest.param("codes", "rate_distortion", "needs latents in R^n", "linear_probe", marks=pytest.mark.slow),
        pytest.param(
            "codes", "aggregate_kl", "'aggregate_kl' needs a posterior with a density", "knn", marks=pytest.mark.slow
        ),
        (
            "tiny",
            "prdc",
            "'prdc' cannot be computed: Its balls reach the 5th neighbour, so it needs at least 6",
            "frechet",
        ),
    ],
)
def test_a_metric_that_does_not_fit_is_refused_with_those_that_do(request, capsys, refused, run, metrics, said, fits):
    workdir = request.getfixturevalue(run)
    capsys.readouterr()  # of its training
    before = results(workdir)
    message = refused_metric(refused, workdir, metrics)
    assert said in message
    assert metrics not in message.partition("Metrics that fit this run:")[2]
    assert fits is None or fits in message
    assert results(workdir) == before


def test_a_wrong_option_of_a_metric_is_refused(digits, refused, tmp_path):
    message = refused_metric(refused, digits, "frechet", "--config.evaluate.features=inception")
    assert "evaluate.features is 'inception', but no such folder or file exists. It can be 'pixels', 'pca'" in message
    message = refused_metric(refused, digits, "frechet", f"--config.evaluate.features={tmp_path / 'no.npz'}")
    assert "no such folder or file" in message
    message = refused_metric(refused, digits, "prdc", "--config.evaluate.max_examples=5")
    assert "at least 6 test examples; there are 5" in message
    message = refused_metric(refused, digits, "ais", "--config.evaluate.ais_temperatures=0")
    assert "evaluate.ais_temperatures is 0; it must be 1 or more" in message


def fails_in_the_middle(capsys, *argv):
    """The message of a launch that computes most of what was asked, writes it, and then fails politely."""
    assert launch.main(["launch.py", *argv, *QUICK], time.time()) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    assert "Metrics that fit this run: collapse," in message
    return message


def test_a_metric_that_fails_in_the_middle_takes_no_other_with_it(digits, tiny, tmp_path, capsys):
    np.savez(tmp_path / "small.npz", x=np.random.default_rng(0).random((30, 5, 5), dtype=np.float32))
    for name, option, said in (
        ("prdc", f"features={tiny}", ["trained on examples of the shape [4, 4, 1]"]),
        ("outliers", f"outliers={tmp_path / 'small.npz'}", ["[5, 5, 1]", "[8, 8, 1]"]),
    ):
        argv = f"--workdir={digits}", "--mode=evaluate", f"--config.evaluate.{option}"
        before = results(digits)["metrics"]
        message = fails_in_the_middle(capsys, *argv, f"--config.evaluate.metrics={name},collapse")
        assert all(words in message for words in said)
        assert f" {name}" not in message.partition("Metrics that fit this run:")[2]
        found = results(digits)
        assert found["metrics"].keys() == {*before, "collapse"}  # a failed metric keeps its former value
        assert found["metrics"].get(name) == before.get(name)
        note = next(note for note in found["notes"] if note.startswith(f"The metric '{name}' cannot be computed"))
        assert note in message
        assert f"  note: {note}" in table(found).splitlines()


@pytest.mark.slow
def test_a_training_whose_metric_fails_is_written_all_the_same(digits, on_tiny, workdir, capsys):
    wrong = "--config.evaluate.metrics=frechet,collapse", f"--config.evaluate.features={digits}"
    argv = *QUICK, *on_tiny, *wrong, "--config.evaluate.report=True", f"--workdir={workdir}"
    assert launch.main(["launch.py", *argv], time.time()) == 2
    assert "'frechet' cannot be computed" in capsys.readouterr().err
    found = results(workdir)
    assert found["metrics"].keys() == {"collapse"}
    assert math.isfinite(found["train_seconds"])
    assert (workdir / "figures" / "samples.png").exists()
    assert "frechet" in (workdir / "report.html").read_text()


def test_the_settings_of_an_evaluation_stand_beside_its_numbers(digits):
    sampler = "--config.sample.sampler=gmm", "--config.sample.sampler.components=5"
    found = evaluated(digits, "", "--config.sample.temperature=0.5", *sampler)["settings"]
    assert found["sample"]["sampler"] == {"name": "gmm", "components": 5}
    assert found["sample"]["temperature"] == 0.5
    assert (found["evaluate"]["nll_samples"], found["evaluate"]["max_examples"]) == (5, 1000)


@pytest.mark.slow
def test_annealing_agrees_with_importance_sampling_and_its_curve_falls(digits):
    long = "ais_examples=120", "ais_chains=2", "ais_temperatures=100", "nll_samples=200"
    found = evaluated(digits, "ais,rate_distortion", *(f"--config.evaluate.{option}" for option in long))
    ais, curve = found["metrics"]["ais"], found["metrics"]["rate_distortion"]
    assert ais["nll"] == pytest.approx(found["test"]["nll"], abs=1)  # of a third of the examples
    assert ais["simulated_nll_from_above"] > ais["simulated_nll_from_below"] - 0.1
    assert 0 < ais["simulated_gap"] < 3
    difference = ais["simulated_nll_from_above"] - ais["simulated_nll_from_below"]
    assert ais["simulated_gap"] == pytest.approx(difference, abs=1e-6)
    beta, rate, distortion = (np.asarray(curve[name]) for name in ("beta", "rate", "distortion"))
    assert np.all(np.diff(beta) > 0)
    assert np.all(np.diff(rate) > -0.5)  # of a few chains, that are not quite there
    assert np.all(np.diff(distortion) < 0.5)
    assert rate[-1] > rate[0] + 5
    assert distortion[-1] < distortion[0] - 5
    at_one = np.interp(1.0, beta, rate) + np.interp(1.0, beta, distortion)
    assert at_one == pytest.approx(ais["nll"], abs=1)
    assert curve["distortion_unit"] == "nats"


@pytest.mark.slow
def test_an_autoencoder_with_a_density_is_annealed_from_its_prior(tmp_path_factory, on_tiny):
    gaussian = "--config.model.likelihood=gaussian", "--config.model.likelihood.variance=0.1"
    found = evaluated(train(tmp_path_factory, *on_tiny, *gaussian), "ais")
    assert math.isfinite(found["metrics"]["ais"]["nll"])
    assert found["test"]["nll"] is None
    assert any("only ais, which needs no posterior, bounds log p(x)" in note for note in found["notes"])


@pytest.mark.slow
@pytest.mark.parametrize(("likelihood", "is_told"), [("continuous_bernoulli", True), ("bernoulli", False)])
def test_whole_pixels_with_a_density_are_told_why_they_have_no_bits(tmp_path_factory, likelihood, is_told):
    short = "--config.train.num_epochs=1", f"--config.model.likelihood={likelihood}"
    found = results(train(tmp_path_factory, *DIGITS, *short))
    assert any("not bits per dimension" in note for note in found["notes"]) == is_told
    assert any(note.startswith("The pixels are grey: ") for note in found["notes"]) != is_told
    assert "bits_per_dim" not in found["test"]


@pytest.mark.slow
def test_the_note_on_grey_pixels_is_for_images(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "table.npy"
    np.save(path, np.random.default_rng(0).random((300, 4), np.float32))
    short = "--config.train.num_epochs=1", "--config.network.hidden=(8,)", f"--config.data.path={path}"
    (note,) = (text for text in results(train(tmp_path_factory, *DIGITS, *short))["notes"] if "cross-entropy" in text)
    assert note.startswith("The data holds values between 0 and 1: ")


@pytest.mark.slow
def test_all_says_what_few_examples_cannot_give(tiny):
    found = evaluated(tiny, "all")
    assert "prdc" not in found["metrics"]
    assert any(note.startswith("prdc was left out: Its balls reach") for note in found["notes"])
    assert "frechet" in found["metrics"]


def test_jax_sees_eight_devices_here():
    assert jax.device_count() == 8
