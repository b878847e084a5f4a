"""What is known of metrics before training: which ones fit, mistakes in their settings, what they are called."""

import numpy as np
import pytest

from configs import base
from jaxvae.errors import UserError
from jaxvae.experiment import setup
from jaxvae.metrics.of_run import FACTOR_SCORES
from jaxvae.metrics.table import METRICS, check
from jaxvae.results import label

OF_DIGITS = set(METRICS) - set(FACTOR_SCORES) - {"outliers"}


def untrained(posterior="diagonal_gaussian", prior="standard_normal", **evaluate):
    config = base.get_config("test").to_dict()
    config["model"] |= {"latent_dim": 4, "posterior": {"name": posterior}, "prior": {"name": prior}}
    config["network"]["hidden"] = (8,)
    if posterior == "delta":
        config["objective"] = {"name": "reconstruction"}
    if posterior == "hamiltonian":
        config["objective"]["kl_estimate"] = "monte_carlo"
    config["evaluate"] |= evaluate
    return setup(config)


@pytest.mark.parametrize(
    ("parts", "fits"),
    [
        ((), OF_DIGITS),
        (("hamiltonian",), OF_DIGITS - {"aggregate_kl"}),
        (("delta",), OF_DIGITS - {"aggregate_kl", "ais"}),
        (("vector_quantized", "uniform_categorical"), OF_DIGITS - {"aggregate_kl", "ais", "rate_distortion"}),
        (("von_mises_fisher", "uniform_sphere"), OF_DIGITS - {"ais", "rate_distortion"}),
    ],
)
def test_what_fits_is_known_before_training(parts, fits):
    experiment = untrained(*parts)
    assert set(check(experiment, "all")) == fits
    assert check(experiment, "knn, frechet,knn,") == ["knn", "frechet"]
    assert check(experiment, "") == []
    if "aggregate_kl" not in fits:
        with pytest.raises(UserError, match=r"'aggregate_kl' needs a posterior that knows its density .*linear_probe"):
            check(experiment, "collapse,aggregate_kl")


@pytest.mark.parametrize(
    ("asked", "evaluate", "message"),
    [
        ("linear_prob", {}, "Did you mean 'linear_probe'"),
        ("all,knn", {}, "stands alone"),
        ("mig", {}, "true factors"),
        ("frechet", {"features": "inception"}, "it can be 'pixels', 'pca'.* no such folder or file"),
        ("all", {"features": "inception"}, "evaluate.features is 'inception'"),
        ("prdc", {"features": "HERE/missing.npz"}, "no such folder or file"),
        ("prdc", {"features": "HERE"}, "holds no run"),
        ("outliers", {"outliers": "HERE/missing.npz"}, "evaluate.outliers is .*no file or folder"),
        ("all", {"outliers": "no_such_data"}, "evaluate.outliers is 'no_such_data'"),
    ],
)
def test_mistakes_are_said_before_training(tmp_path, asked, evaluate, message):
    experiment = untrained(**{name: value.replace("HERE", str(tmp_path)) for name, value in evaluate.items()})
    with pytest.raises(UserError, match=message):
        check(experiment, asked)
    assert check(experiment, "knn,collapse") == ["knn", "collapse"]  # which do not look at these


@pytest.mark.parametrize("outliers", ["digits", "HERE"])
def test_features_and_outliers_that_are_there_pass(tmp_path, outliers):
    np.savez(tmp_path / "net.npz")
    experiment = untrained(features=str(tmp_path / "net.npz"), outliers=outliers.replace("HERE", str(tmp_path)))
    assert check(experiment, "frechet,outliers") == ["frechet", "outliers"]


@pytest.mark.parametrize(
    ("metric", "part", "said"),
    [
        ("mig", "mig", "MIG"),
        ("factor_vae_score", "factor_vae_score", "factor VAE score"),
        ("dci", "dci_completeness", "DCI: completeness"),
        ("clustering", "nmi", "clustering: NMI"),
        ("frechet", "frechet_distance", "Fréchet: distance"),
        ("few_labels", "accuracy_of_1", "few labels: accuracy of 1"),
    ],
)
def test_a_number_is_called_by_its_metric_and_its_own_name_and_by_neither_twice(metric, part, said):
    assert label(metric, part) == said
