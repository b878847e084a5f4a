"""An evaluation adds to the results that are there: nothing is lost, and no two checkpoints are mixed."""

import json
import time

import pytest

import launch
from jaxvae.evaluation.adding import added, is_sound, made_with
from jaxvae.evaluation.table import METRICS
from jaxvae.experiment.checks import METRICS as NAMES
from jaxvae.experiment.defaults import KEYS, get_config, is_option
from jaxvae.experiment.plain import flatten


def results(step, nll, num_samples, **metrics):
    return {
        "checkpoint": {"step": step}, "notes": [], "settings": {"evaluate": {}, "sample": {}},
        "test": {"nll": nll, "nll_samples": num_samples},
        "metrics": {name: {"value": value} for name, value in metrics.items()},
        "made_with": {name: {"step": step} for name in metrics},
    }  # fmt: skip


def test_metrics_of_one_checkpoint_add_up_and_one_asked_for_again_is_replaced():
    found = added(results(9, 3.0, 10, mig=1, knn=2), results(9, 3.0, 10, knn=5, ais=6))
    assert {name: values["value"] for name, values in found["metrics"].items()} == {"mig": 1, "knn": 5, "ais": 6}
    assert found["made_with"] == {name: {"step": 9} for name in ("mig", "knn", "ais")}
    assert "nll_by_samples" not in found
    assert "other_checkpoints" not in found


def test_every_nll_stays_with_its_number_of_samples():
    found = added(added(results(9, 3.0, 10), results(9, 2.5, 5000)), results(9, 3.1, 10))
    assert found["test"]["nll"] == 3.1
    assert found["nll_by_samples"] == {"10": 3.1, "5000": 2.5}


def test_results_of_another_checkpoint_are_kept_apart_and_come_back():
    first = added({}, results(9, 3.0, 10, mig=1))
    second = added(first, results(20, 2.0, 10, knn=2))
    assert list(second["metrics"]) == ["knn"]
    assert second["other_checkpoints"]["9"]["metrics"] == {"mig": {"value": 1}}
    assert second["other_checkpoints"]["9"]["test"] == first["test"]
    third = added(second, results(9, 3.0, 10, knn=4))
    assert {name: values["value"] for name, values in third["metrics"].items()} == {"mig": 1, "knn": 4}
    assert list(third["other_checkpoints"]) == ["20"]
    assert list(third["other_checkpoints"]["20"]["metrics"]) == ["knn"]


def test_a_warning_of_a_kept_metric_is_said_again_and_an_earlier_version_has_the_settings_of_all():
    before = results(9, 3.0, 10, mig=1)
    before["metrics"]["mig"]["warning"] = "Odd."
    del before["made_with"]
    before["settings"]["evaluate"] = {"max_examples": 7}
    found = added(before, results(9, 3.0, 10))
    assert found["notes"] == ["Odd."]
    assert found["made_with"]["mig"] == {"step": 9, "evaluate": {"max_examples": 7}, "sample": {}}


@pytest.mark.parametrize(
    "odd", [{}, {"checkpoint": 3}, {"checkpoint": {}}, {"checkpoint": {"step": 1}, "metrics": []},
            {"checkpoint": {"step": 1}, "other_checkpoints": {"3": 4}},
            {"checkpoint": {"step": 1}, "metrics": {"a": 1}}]
)  # fmt: skip
def test_an_odd_file_is_not_added_to(odd):
    assert not is_sound(odd)
    assert is_sound(results(9, 3.0, 10, mig=1))


def test_a_metric_is_recorded_with_the_settings_that_it_depends_on():
    config = get_config("vae").to_dict()
    assert made_with(config, 5, METRICS["clustering"].settings) == {"step": 5, "evaluate.max_examples": 5000}
    assert made_with(config, 5, METRICS["prdc"].settings)["sample.sampler.name"] == "prior"
    known = [key for key in flatten(config) if key in KEYS or is_option(key)]
    for metric in METRICS.values():
        assert all(any(f"{key}.".startswith(f"{name}.") for key in known) for name in metric.settings)


def test_the_names_that_are_checked_before_jax_is_imported_are_those_of_the_table():
    assert tuple(METRICS) == NAMES


def test_two_evaluations_of_a_run_add_up(workdir):
    small = ("--config.network.hidden=(8,)", "--config.model.latent_dim=2", "--config.train.num_epochs=1",
             "--config.evaluate.report=False", "--config.figures.draw=False", "--config.evaluate.nll_samples=2",
             "--config.evaluate.metrics=collapse")  # fmt: skip
    again = ("--mode=evaluate", "--config.evaluate.metrics=clustering", "--config.evaluate.max_examples=50")
    for argv in (("--config=vae", *small), again):
        assert launch.main(["launch.py", f"--workdir={workdir}", *argv], time.time()) == 0
    found = json.loads((workdir / "results.json").read_text())
    assert list(found["metrics"]) == ["collapse", "clustering"]
    assert [found["made_with"][name]["evaluate.max_examples"] for name in found["metrics"]] == [5000, 50]
