"""Trackers: what they are told, that one which fails ends no run, and the services themselves where installed."""

import json
import time

import numpy as np
import pytest

import launch
from jaxvae.common.errors import UserError
from jaxvae.experiment.defaults import get_config
from jaxvae.runs.trackers import opening
from jaxvae.runs.trackers.base import parameters

ARGV = [
    "--config=configs/vae.py", "--config.train.num_epochs=2", "--config.train.eval_every_epochs=1",
    "--config.network.hidden=(8,)", "--config.model.latent_dim=2", "--config.evaluate.nll_samples=2",
    "--config.evaluate.report=False",
]  # fmt: skip


def launched(workdir, trackers, *argv):
    assert launch.main(["launch.py", *ARGV, f"--config.train.trackers={trackers}", f"--workdir={workdir}", *argv],
                       time.time()) == 0  # fmt: skip


class Told:
    """A tracker in memory; it fails at a method that it is asked to fail at."""

    run_id = "one"

    def __init__(self, fails_at=""):
        self.fails_at, self.calls = fails_at, []

    def __getattr__(self, name):
        def call(*args):
            if name == self.fails_at:
                raise ConnectionError("the service\nis away")
            self.calls.append((name, args))

        return call

    def of(self, name):
        return [args for called, args in self.calls if called == name]


@pytest.fixture
def service(monkeypatch):
    """Put a tracker in the place of W&B; returns those that were opened, with what they were opened with."""
    opened = []

    def put(fails_at=""):
        def make(folder, config, run_id):
            if fails_at == "open":
                raise RuntimeError("no account")
            opened.append((Told(fails_at), folder, config, run_id))
            return opened[-1][0]

        monkeypatch.setitem(opening.SERVICES, "wandb", make)
        monkeypatch.setattr(opening, "require", lambda name: None)
        return opened

    return put


def test_a_tracker_is_told_of_the_settings_the_rows_the_pictures_and_the_results(service, workdir):
    opened = service()
    launched(workdir, "tensorboard,wandb")
    (told, folder, config, run_id), *others = opened
    assert not others
    assert (folder, config["train"]["num_epochs"], run_id) == (workdir, 2, "")
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    for row, (step, values) in zip(rows, told.of("scalars"), strict=True):
        assert step == row["step"]
        assert values[f"{row['split']}/loss"] == row["loss"]
    assert {name for _, name, _ in told.of("image")} == {"samples", "reconstructions"}
    ((values, files),) = told.of("results")
    results = json.loads((workdir / "results.json").read_text())
    assert values["test/nll"] == results["test"]["nll"]
    assert values["collapse/active_units"] == results["metrics"]["collapse"]["active_units"]
    assert "curves.png" in {path.name for path in files}
    assert told.calls[-1] == ("close", ())
    assert list((workdir / "tensorboard").iterdir())


@pytest.mark.slow
def test_a_run_that_goes_on_is_the_same_run_of_the_tracker(service, workdir):
    opened = service()
    launched(workdir, "tensorboard,wandb")
    assert json.loads((workdir / "trackers.json").read_text()) == {"wandb": "one"}
    launched(workdir, "wandb", "--config.train.num_epochs=3")  # goes on, with other trackers
    assert opened[1][3] == "one"
    assert [step for step, _ in opened[1][0].of("scalars")][-1] == 30


@pytest.mark.slow
def test_without_tensorboard_no_events_are_written(workdir):
    launched(workdir, "", "--config.train.num_epochs=1")
    assert not (workdir / "tensorboard").exists()
    assert (workdir / "metrics.jsonl").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("fails_at", ["open", "scalars", "image", "results", "close"])
def test_a_tracker_that_fails_ends_no_run(service, workdir, capsys, fails_at):
    opened = service(fails_at)
    launched(workdir, "wandb")
    message = capsys.readouterr().err
    assert message.count("note: the tracker 'wandb' failed") == 1
    said = "RuntimeError: no account" if fails_at == "open" else "ConnectionError: the service is away"
    assert f"({said}). The run goes on without it." in message
    assert json.loads((workdir / "results.json").read_text())["checkpoint"]["epoch"] == 2
    if fails_at == "scalars":
        assert opened[0][0].calls == []  # it is told nothing more


@pytest.mark.parametrize("fails_at", ["scalars", "image", "results", "close"])
def test_a_tracker_that_failed_is_told_nothing_more_and_the_others_are(capsys, fails_at):
    failing, other = Told(fails_at), Told()
    trackers = opening.Trackers({"one": failing, "other": other})
    for _ in range(2):
        trackers.scalars(1, {"train/loss": 2.0})
        trackers.image(1, "samples", np.zeros((2, 2, 3), np.uint8))
        trackers.results({"test/nll": 3.0}, [])
        trackers.close()
    assert len(other.calls) == 8
    assert len(failing.calls) == ["scalars", "image", "results", "close"].index(fails_at)
    assert capsys.readouterr().err.count("the tracker 'one' failed (ConnectionError: the service is away)") == 1


def test_a_tracker_that_does_not_exist_or_is_not_installed_is_refused_before_training(workdir, refused, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    start = [*ARGV, f"--workdir={workdir}"]
    message = refused(*start, "--config.train.trackers=tensorboard,wandb")
    assert "pip install 'jaxvae[wandb]'" in message
    assert "Unknown tracker 'wandbs'. Did you mean 'wandb'" in refused(*start, "--config.train.trackers=wandbs")
    assert not workdir.exists()


def test_parameters_are_flat_numbers_and_texts():
    found = parameters(get_config("test").to_dict())
    assert found["kl.beta"] == 1.0
    assert found["network.hidden"] == "(400,)"
    assert all(isinstance(value, int | float | str) for value in found.values())


def test_a_run_in_memory_has_no_results_to_tell():
    told = Told()
    opening.tell_results(opening.Trackers({"one": told}), None)
    assert told.calls == []


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of MLflow and its store
def test_mlflow_keeps_the_run_in_its_store(workdir, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workdir.parent / 'runs.db'}")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{workdir.parent / 'runs.db'}")
    client.create_experiment("jaxvae", artifact_location=str(workdir.parent / "artefacts"))
    launched(workdir, "mlflow")
    launched(workdir, "mlflow", "--config.train.num_epochs=3")
    (run,) = client.search_runs([client.get_experiment_by_name("jaxvae").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["model.latent_dim"] == "2"
    results = json.loads((workdir / "results.json").read_text())
    assert run.data.metrics["test/nll"] == pytest.approx(results["test"]["nll"])
    steps = [each.step for each in client.get_metric_history(run.info.run_id, "validation/loss")]
    assert steps == [10, 20, 30]
    assert "figures/curves.png" in {each.path for each in client.list_artifacts(run.info.run_id, "figures")}
    assert "pictures/samples-10.png" in {each.path for each in client.list_artifacts(run.info.run_id, "pictures")}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_weights_and_biases_keeps_the_run_offline(workdir, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    launched(workdir, "wandb")
    (file,) = (workdir / "wandb").glob("offline-run-*/run-*.wandb")
    content = file.read_bytes()
    for name in (b"latent_dim", b"validation/loss", b"test/nll", b"figures-"):
        assert name in content
    assert json.loads((workdir / "trackers.json").read_text())["wandb"] in file.name


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of MLflow and its store
def test_mlflow_that_cannot_be_reached_ends_no_run(workdir, monkeypatch, capsys):
    pytest.importorskip("mlflow")
    (workdir.parent / "file").touch()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workdir.parent / 'file' / 'runs.db'}")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    launched(workdir, "mlflow")
    assert "note: the tracker 'mlflow' failed (" in capsys.readouterr().err
    assert "results.json" in {path.name for path in workdir.iterdir()}


def test_names_are_read_once_each():
    config = get_config("test").to_dict()
    config["train"]["trackers"] = " tensorboard, mlflow,,mlflow "
    assert opening.asked(config) == ["tensorboard", "mlflow"]
    config["train"]["trackers"] = "tensorbord"
    with pytest.raises(UserError, match="Did you mean 'tensorboard'"):
        opening.check(config)
    assert np.isfinite(parameters(config)["seed"])
