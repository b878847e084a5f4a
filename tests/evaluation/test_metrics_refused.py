"""Metrics of trained runs that cannot be computed, or fail: what is said, and that nothing else is lost."""

import base64
import math
import time

import numpy as np
import pytest
from metric_runs import QUICK, evaluated, refused_metric, results, train

import launch
from jaxvae.evaluation.results import table


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, on_tiny):
    return train(tmp_path_factory, *on_tiny)


@pytest.mark.parametrize(
    ("run", "metrics", "said", "fits"),
    [
        ("tiny", "linear_prob", r"Unknown metric 'linear_prob'. Did you mean 'linear_probe'?", "rate_distortion"),
        ("tiny", "all,mig", "give 'all' alone", None),
        pytest.param(
            "digits",
            "knn, mig",
            "'mig' needs true factors, which the data lacks",
            "linear_probe",
            marks=pytest.mark.slow,
        ),
        ("tiny", "outliers", "'outliers' needs another data set in evaluate.outliers", "rate_distortion"),
        (
            "tiny",
            "posterior_calibration",
            "a q(z|x) that is not a point, and a likelihood that is a density",
            "frechet",
        ),
        (
            "tiny",
            "amortization",
            "'amortization' needs a likelihood that is a density and a Gaussian posterior",
            "frechet",
        ),
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_settings_of_an_evaluation_stand_beside_its_numbers(digits):
    sampler = "--config.sample.sampler=gmm", "--config.sample.sampler.components=5"
    found = evaluated(digits, "", "--config.sample.temperature=0.5", *sampler)["settings"]
    assert found["sample"]["sampler"] == {"name": "gmm", "components": 5}
    assert found["sample"]["temperature"] == 0.5
    assert (found["evaluate"]["nll_samples"], found["evaluate"]["max_examples"]) == (5, 1000)


@pytest.mark.slow
def test_all_says_what_few_examples_cannot_give(tiny):
    found = evaluated(tiny, "all")
    assert "prdc" not in found["metrics"]
    assert any(note.startswith("prdc was left out: Its balls reach") for note in found["notes"])
    assert "frechet" in found["metrics"]


@pytest.mark.slow
def test_the_rate_distortion_curve_is_drawn_and_in_the_report(tiny):
    evaluated(tiny, "rate_distortion", "--config.evaluate.report=True")
    picture = (tiny / "figures" / "rate_distortion.png").read_bytes()
    assert base64.b64encode(picture).decode() in (tiny / "report.html").read_text()
