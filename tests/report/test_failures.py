"""Whatever fails after training is named in results.json and on the terminal, and the rest is written."""

import json
import shutil
import time
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import launch
from jaxvae.common.errors import UserError
from jaxvae.data.spec import DataSpec
from jaxvae.evaluation import bounds, table
from jaxvae.report import decoder, run_figures, sections
from jaxvae.runs.attempts import TRACES, Failure, attempt, write_traces

SHORT = ("--config.train.num_epochs=1", "--config.evaluate.nll_samples=2", "--config.network.hidden=(8,)",
         "--config.evaluate.metrics=")  # fmt: skip


def fails(error):
    def function(*_, **__):
        raise error

    return function


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run") / "run"
    argv = "--config=configs/vae.py", *SHORT, "--config.evaluate.report=False", f"--workdir={workdir}"
    assert launch.main(["launch.py", *argv], time.time()) == 0
    return workdir


@pytest.fixture
def evaluated(trained, tmp_path, monkeypatch):
    """`(metrics="", **settings) -> (exit status, results.json)` of an evaluation of a copy of a run, in `tmp_path`."""
    shutil.copytree(trained, tmp_path / "run")
    for name in ("interpolate", "traverse", "impute"):  # which cost most of the time
        monkeypatch.setattr(sections, name, fails(UserError("It is not asked for.")))
    monkeypatch.setattr(sections, "latent_map", lambda run, failures: {})

    def evaluated(metrics="", report=True):
        argv = "--mode=evaluate", f"--workdir={tmp_path / 'run'}", f"--config.evaluate.metrics={metrics}"
        status = launch.main(["launch.py", *argv, f"--config.evaluate.report={report}"], time.time())
        return status, json.loads((tmp_path / "run" / "results.json").read_text())

    return evaluated


def test_an_attempt_keeps_what_went_wrong(tmp_path):
    failures: list[Failure] = []
    assert attempt("A", failures, lambda: 3) == 3
    assert attempt("B", failures, fails(UserError("It is too small."))) is None
    assert attempt("C", failures, fails(MemoryError())) is None
    assert attempt("D", failures, fails(IndexError("first\nsecond"))) is None
    assert [failure.note for failure in failures] == [
        "B was left out: It is too small.",
        "C was left out: MemoryError: MemoryError (stack trace in errors.log).",
        "D was left out: IndexError: first (stack trace in errors.log).",
    ]
    with pytest.raises(KeyboardInterrupt):
        attempt("E", failures, fails(KeyboardInterrupt()))
    write_traces(tmp_path, failures)
    text = (tmp_path / TRACES).read_text()
    assert "B" not in text.splitlines()
    assert text.index("C\nTraceback") < text.index("D\nTraceback") < text.index("second")
    write_traces(tmp_path, failures[:1])
    assert not (tmp_path / TRACES).exists()


def test_pictures_and_sections_that_fail_become_notes(evaluated, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(run_figures, "samples", fails(TypeError("matmul: mismatch")))
    monkeypatch.setattr(sections, "export", fails(IndexError("no <layer>")))
    status, results = evaluated()
    assert status == 0
    told = [
        "figures/samples was left out: TypeError: matmul: mismatch (stack trace in errors.log).",
        "The explorer was left out: IndexError: no <layer> (stack trace in errors.log).",
    ]
    assert results["notes"][-2:] == told
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if "left out" in line] == [f"  note: {note}" for note in told]
    assert "report.html" in out.splitlines()[-1]
    assert "samples.png" not in out.splitlines()[-1]
    assert "Traceback" not in out + err
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count("figures/samples was left out") == page.count("no &lt;layer&gt;") == 1
    assert (tmp_path / "run" / TRACES).read_text().count("Traceback") == 2
    assert (tmp_path / "run/figures/reconstructions.png").exists()


def test_a_page_that_fails_leaves_the_numbers(evaluated, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("jaxvae.report.page.walks", fails(ValueError("broken")))
    status, results = evaluated()
    assert status == 0
    assert results["notes"][-1] == "report.html was left out: ValueError: broken (stack trace in errors.log)."
    assert "report.html, " not in capsys.readouterr().out
    assert not (tmp_path / "run" / "report.html").exists()


def test_numbers_that_fail_end_with_status_2_after_all_else_is_written(evaluated, tmp_path, capsys, monkeypatch):
    compute = {"collapse": fails(ZeroDivisionError("by zero")), "frechet": lambda run: {"mean": np.float32(0.5)}}
    compute["knn"] = lambda run: {"odd": object()}
    for name, function in compute.items():
        monkeypatch.setitem(table.METRICS, name, table.Metric(function))
    monkeypatch.setattr(bounds, "nll", fails(RuntimeError("RESOURCE_EXHAUSTED: out of memory")))
    status, results = evaluated("collapse,knn,frechet", report=False)
    assert status == 2
    message = capsys.readouterr().err.rpartition("error: ")[2]
    for words in (
        "The test set's nll was left out: RuntimeError: RESOURCE_EXHAUSTED",
        "The metric 'collapse' cannot be computed: ZeroDivisionError: by zero (stack trace in errors.log).",
        "The metric 'knn' cannot be computed: TypeError: Object of type object is not JSON serializable",
    ):
        assert words in message
        assert any(note.startswith(words) for note in results["notes"])
    assert message.count("\n") == 1
    assert results["metrics"] == {"frechet": {"mean": 0.5}}
    assert results["test"]["nll"] is None
    assert np.isfinite(results["test"]["loss"])
    assert (tmp_path / "run/figures/samples.png").exists()


@pytest.mark.slow
def test_pictures_that_fail_in_training_do_not_end_it(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(run_figures, "samples", fails(TypeError("matmul: mismatch")))
    argv = "--config=configs/vae.py", *SHORT, "--config.train.num_epochs=3", "--config.train.eval_every_epochs=1"
    argv = *argv, "--config.evaluate.report=False", f"--workdir={tmp_path}"
    assert launch.main(["launch.py", *argv], time.time()) == 0
    errors = capsys.readouterr().err
    assert errors.count("note: The picture of step 10 was left out: TypeError: matmul: mismatch") == 1
    assert "The picture of step 20" not in errors
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["checkpoint"]["step"] == 30
    assert any(note.startswith("figures/samples was left out") for note in results["notes"])


class Residual(nn.Module):
    """Dense layers with the names of a chain, of which two see the same input."""

    @nn.compact
    def __call__(self, z):
        hidden = nn.relu(nn.Dense(5)(z)) + nn.Dense(5)(z)
        return nn.Dense(12)(hidden)


class Sine(nn.Module):
    """A chain of dense layers, with a function between them that the page does not know."""

    @nn.compact
    def __call__(self, z):
        hidden = jnp.sin(nn.Dense(5)(z))
        return nn.Dense(12)(hidden)


@pytest.mark.parametrize(("network", "is_chain"), [(Residual(), False), (Sine(), True)])
def test_dense_layers_that_the_page_cannot_run_are_not_exported(network, is_chain):
    params = network.init(jax.random.key(0), jnp.zeros((1, 3)))
    run = SimpleNamespace(
        params={"decoder": params["params"]},
        config={},
        dataset=SimpleNamespace(test=SimpleNamespace(context=None)),
        model=SimpleNamespace(data_shape=(2, 2, 3)),
        experiment=SimpleNamespace(spec=DataSpec((2, 2, 3), is_float=True)),
        decode=lambda z, context: np.asarray(network.apply(params, z)).reshape(-1, 2, 2, 3),
        unit=lambda x, context: np.clip(x, 0, 1),
    )
    run.config["data"] = {"pixel_range": (0.0, 1.0)}
    assert (decoder.layers(run.params) is not None) == is_chain
    slider = {"index": 2, "low": -2.0, "high": 2.0}
    found = decoder.export(run, np.zeros(3), np.eye(3)[:2], np.ones(2), [slider])  # pyright: ignore[reportArgumentType]
    assert found["kind"] == "grid"
