"""The metrics of trained runs, through `--mode=evaluate`: which are there, and what they are."""

import math

import jax
import numpy as np
import pytest
from metric_runs import (
    DIGITS,
    OF_CODES,
    OTHER,
    assert_same_on_one_device,
    contents,
    evaluated,
    launched,
    numbers,
    results,
    train,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import jaxvae
from jaxvae.evaluation.of_factors import FACTOR_SCORES
from jaxvae.evaluation.table import METRICS
from jaxvae.metrics.sample_quality import frechet_distance
from jaxvae.metrics.sharpness import sharpness


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
def test_all_on_an_autoencoder_and_on_codes_leaves_out_what_does_not_fit(plain, codes):
    found = evaluated(plain, "all")
    assert not {"ais", "aggregate_kl"} & set(found["metrics"])
    assert set(OF_CODES) <= set(found["metrics"])
    assert found["metrics"]["rate_distortion"]["distortion_unit"] == "units of the reconstruction loss"
    found = evaluated(codes, "all")
    assert not {"ais", "rate_distortion", "aggregate_kl"} & set(found["metrics"])
    assert set(OF_CODES) <= set(found["metrics"])
    assert not any("left out" in note for note in found["notes"])


@pytest.mark.slow
def test_one_device_gives_what_eight_give(digits, everything):
    assert_same_on_one_device(digits, ",".join(("collapse", "aggregate_kl", *OF_CODES)), everything[0])


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
def test_fidelity_and_sharpness_are_those_of_the_reconstructions_that_are_written(digits, everything):
    launched(f"--workdir={digits}", "--mode=reconstruct", "--config.sample.num=1000")
    with np.load(digits / "reconstructions.npz") as arrays:
        means = {name: sharpness(arrays[name] / 16).mean() for name in ("x", "reconstruction")}
        flat = [arrays[name].reshape(359, -1) / 16 for name in ("x", "reconstruction")]
        error = np.square((arrays["x"].astype(np.float64) - arrays["reconstruction"]) / 16).mean(axis=(1, 2, 3))
    assert len(error) == 359
    assert everything[0]["metrics"]["fidelity"]["psnr"] == pytest.approx(np.mean(-10 * np.log10(error)), rel=1e-6)
    found = everything[0]["metrics"]["sharpness"]
    assert [found["data"], found["reconstructions"]] == pytest.approx([*means.values()], rel=1e-5)
    assert found["reconstructions_ratio"] == pytest.approx(found["reconstructions"] / found["data"])
    of_pixels = evaluated(digits, "frechet", "--config.evaluate.features=pixels")["metrics"]["frechet"]
    assert of_pixels["reconstructions"] == pytest.approx(frechet_distance(*flat)["frechet_distance"], rel=1e-4)


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


def test_jax_sees_eight_devices_here():
    assert jax.device_count() == 8


@pytest.mark.slow
def test_the_audit_of_the_posterior_is_in_the_results_and_on_the_page(digits):
    names = "amortization,posterior_calibration,predictive_checks"
    options = [f"--config.evaluate.{option}" for option in ("nll_samples=100", "report=True", "ais_examples=40")]
    found = evaluated(digits, names, *options)
    gap, ranks, checks = (found["metrics"][name] for name in names.split(","))
    assert 4 * gap["gap_error"] < gap["gap"] < 1
    assert gap["elbo"] < gap["refined_elbo"] < gap["log_likelihood"]
    assert gap["examples"] == 40
    assert np.shape(ranks["counts"]) == (8, 20)
    assert ranks["finding"].startswith(("q(z|x) is", "the ranks are uniform"))
    assert checks["finding"].startswith("replicated data differs in")  # which is binary, and the data is grey
    assert checks["deviation_p"] > 0.99
    assert 0 < found["test"]["pareto_k"] < 1
    assert 0 <= found["test"]["pareto_k_high"] <= 1
    page = (digits / "report.html").read_text()
    assert "Ranks of the true z among draws" in page
    assert checks["finding"] in page
    assert (digits / "figures" / "posterior_calibration.png").exists()
