"""Test metrics of scaled data are in the data's own units, whatever the model's units are."""

import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from jaxvae.data import from_arrays
from jaxvae.data.spec import DataSpec
from jaxvae.data.split import Split
from jaxvae.evaluation.bounds import bits_per_dim
from jaxvae.evaluation.own_units import to_own_units
from jaxvae.evaluation.results import evaluate
from jaxvae.experiment.defaults import get_config
from jaxvae.experiment.setup import setup
from jaxvae.runs.storage import Memory
from jaxvae.runs.training import train_run

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(120, 2)) @ RNG.normal(size=(2, 4)) + 0.1 * RNG.normal(size=(120, 4))).astype(np.float32)
MASK = RNG.random(X.shape) < 0.8


def evaluated(arrays, metrics="", **changes):
    config = get_config("vae", "mnist")
    settings = {
        "data.scaling": "standardize", "model.likelihood": {"name": "gaussian", "learn": "shared"},
        "model.latent_dim": 2, "network.hidden": (8,), "train.num_epochs": 1, "train.batch_size": 32,
        "evaluate.nll_samples": 3, "evaluate.metrics": metrics, "evaluate.ais_examples": 4, "evaluate.ais_chains": 2,
        "evaluate.ais_temperatures": 3, "data.validation_fraction": 0.1, **changes,
    }  # fmt: skip
    for key, value in settings.items():
        section, last = key.split(".")
        config[section][last] = value
    config = config.to_dict()
    experiment = setup(config, from_arrays("mine", arrays))
    run, _ = train_run(experiment, Memory(), time.time(), progress=False)
    return run, evaluate(run).results


@pytest.mark.parametrize(
    ("mask", "metrics"),
    [
        pytest.param(None, "", marks=pytest.mark.slow),
        (MASK, ""),
        pytest.param(None, "ais,rate_distortion", marks=pytest.mark.slow),
    ],
)
def test_a_change_of_units_moves_log_likelihoods_by_its_jacobian(mask, metrics):
    """Powers of 2 leave the standardised data the same bits, so only the Jacobian differs."""
    units = np.float32([1.0, 4.0, 0.25, 1024.0])
    beside = {} if mask is None else {"mask": mask}
    run, first = evaluated({"x": X, **beside}, metrics)
    _, second = evaluated({"x": X * units, **beside}, metrics)
    seen = np.ones_like(X, bool) if mask is None else run.dataset.test.mask
    jacobian = float(np.mean(np.broadcast_to(seen, (len(seen), 4))[: len(run.dataset.test.x)] @ np.log(units)))
    assert second["test"]["loss"] == first["test"]["loss"]
    assert second["test"]["kl"] == first["test"]["kl"]
    for name, sign in {"elbo": -1, "reconstruction": 1, "nll": 1}.items():
        assert second["test"][name] - first["test"][name] == pytest.approx(sign * jacobian, rel=1e-6), name
    assert first["test"]["elbo"] == pytest.approx(-first["test"]["reconstruction"] - first["test"]["kl"], rel=1e-5)
    assert any("own units" in note for note in first["notes"])
    if mask is None:
        spec = run.experiment.spec
        assert first["test"]["loss"] == pytest.approx(-first["test"]["elbo"] - spec.log_scale, rel=1e-5)
    if metrics:
        for name in ("nll", "simulated_nll_from_above", "simulated_nll_from_below"):
            moved = second["metrics"]["ais"][name] - first["metrics"]["ais"][name]
            assert moved == pytest.approx(jacobian, rel=1e-6)
        curves = [np.array(each["metrics"]["rate_distortion"]["distortion"]) for each in (first, second)]
        np.testing.assert_allclose(curves[1] - curves[0], jacobian, rtol=1e-6)


def test_every_log_likelihood_moves_and_differences_of_two_do_not():
    spec = DataSpec((2,), scale=(1.0, 8.0), shift=(0.0, 0.0), value_range=(-1.0, 1.0))
    likelihood = SimpleNamespace(is_density=True, is_discrete=False)
    run: Any = SimpleNamespace(
        experiment=SimpleNamespace(spec=spec), model=SimpleNamespace(likelihood=likelihood),
        dataset=SimpleNamespace(test=SimpleNamespace(mask=None)),
    )  # fmt: skip
    ais = {"nll": 1.0, "simulated_nll_from_above": 2.0, "simulated_nll_from_below": 1.5, "simulated_gap": 0.5}
    found = {"ais": ais, "rate_distortion": {"distortion": [3.0, 2.0], "rate": [0.0, 1.0]}}
    test = {"loss": 5.0, "elbo": -5.0, "iwae": -4.0, "nll": None, "kl": 1.0}
    assert to_own_units(run, test, found)
    moved = np.log(8.0)
    assert test == {"loss": 5.0, "elbo": -5.0 - moved, "iwae": -4.0 - moved, "nll": None, "kl": 1.0}
    assert found["ais"] == {**{name: value + moved for name, value in ais.items()}, "simulated_gap": 0.5}
    assert found["rate_distortion"] == {"distortion": [3.0 + moved, 2.0 + moved], "rate": [0.0, 1.0]}


@pytest.mark.slow
def test_a_binary_cross_entropy_has_no_jacobian():
    likelihood = {"name": "bernoulli"}
    changes = {"data.scaling": "unit", "model.likelihood": likelihood}
    run, found = evaluated({"x": X}, **changes)
    assert found["test"]["loss"] == pytest.approx(-found["test"]["elbo"], rel=1e-6)
    assert not any("own units" in note for note in found["notes"])
    assert any("cross-entropy" in note for note in found["notes"])
    assert run.experiment.spec.is_clipped


def test_bits_per_dim_are_those_of_an_observed_value():
    x, mask = np.zeros((2, 2, 3), np.float32), np.array([[[1, 1, 1], [1, 1, 1]], [[1, 0, 0], [1, 0, 0]]], bool)
    assert bits_per_dim(6 * np.log(2), Split(x)) == pytest.approx(1)
    assert bits_per_dim(6 * np.log(2), Split(x, mask=mask)) == pytest.approx(6 / 4)
