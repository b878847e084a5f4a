"""What is known of metrics before training: which ones fit, mistakes in their settings, what they are called."""

import numpy as np
import pytest

from jaxvae.common.errors import UserError
from jaxvae.evaluation.of_factors import FACTOR_SCORES
from jaxvae.evaluation.of_tables import TABLE_SCORES
from jaxvae.evaluation.results import label
from jaxvae.evaluation.table import METRICS, check
from jaxvae.experiment import defaults
from jaxvae.experiment.setup import setup

OF_DIGITS = set(METRICS) - set(FACTOR_SCORES) - set(TABLE_SCORES) - {"outliers", "imputation"}


def untrained(posterior="diagonal_gaussian", prior="standard_normal", **evaluate):
    config = defaults.get_config("test").to_dict()
    config["model"] |= {"latent_dim": 4, "posterior": {"name": posterior}, "prior": {"name": prior}}
    config["network"]["hidden"] = (8,)
    if posterior == "delta":
        config["objective"] = {"name": "reconstruction"}
    if posterior == "hamiltonian" or prior == "mixture_of_gaussians":
        config["objective"]["kl_estimate"] = "monte_carlo"
    config["evaluate"] |= evaluate
    return setup(config)


@pytest.mark.parametrize(
    ("parts", "fits"),
    [
        ((), OF_DIGITS),
        (("hamiltonian",), OF_DIGITS - {"aggregate_kl", "amortization"}),
        # its likelihood is a density, and AIS starts from the prior
        (("delta",), OF_DIGITS - {"aggregate_kl", "amortization", "posterior_calibration"}),
        (
            ("vector_quantized", "uniform_categorical"),
            OF_DIGITS - {"aggregate_kl", "ais", "rate_distortion", "amortization", "posterior_calibration"},
        ),
        (("von_mises_fisher", "uniform_sphere"), OF_DIGITS - {"ais", "rate_distortion", "amortization"}),
    ],
)
def test_what_fits_is_known_before_training(parts, fits):
    experiment = untrained(*parts)
    assert set(check(experiment, "all")) == fits
    assert check(experiment, "knn, frechet,knn,") == ["knn", "frechet"]
    assert check(experiment, "") == []
    if "aggregate_kl" not in fits:
        with pytest.raises(UserError, match=r"'aggregate_kl' needs a posterior with a density .*linear_probe"):
            check(experiment, "collapse,aggregate_kl")


@pytest.mark.parametrize(
    ("asked", "evaluate", "message"),
    [
        ("linear_prob", {}, "Did you mean 'linear_probe'"),
        ("all,knn", {}, "give 'all' alone"),
        ("mig", {}, "true factors"),
        ("frechet", {"features": "inception"}, "no such folder or file exists. It can be 'pixels', 'pca'"),
        ("all", {"features": "inception"}, "evaluate.features is 'inception'"),
        ("prdc", {"features": "HERE/missing.npz"}, "no such folder or file"),
        ("prdc", {"features": "HERE"}, "holds no run"),
        ("outliers", {"outliers": "HERE/missing.npz"}, "evaluate.outliers is .*not a file or folder"),
        ("all", {"outliers": "no_such_data"}, "evaluate.outliers is 'no_such_data'"),
    ],
)
def test_mistakes_are_said_before_training(tmp_path, asked, evaluate, message):
    experiment = untrained(**{name: value.replace("HERE", str(tmp_path)) for name, value in evaluate.items()})
    with pytest.raises(UserError, match=message):
        check(experiment, asked)
    assert check(experiment, "knn,collapse") == ["knn", "collapse"]  # which do not look at these


def with_factors(experiment):
    """The experiment with three random factors of its test examples."""
    test = experiment.dataset.test
    factors = np.random.default_rng(0).integers(5, size=(len(test.x), 3))
    return experiment._replace(dataset=experiment.dataset._replace(test=test._replace(factors=factors)))


@pytest.mark.parametrize("posterior", ["diagonal_gaussian", "full_covariance"])
def test_gaussian_posteriors_have_a_mutual_information_gap(posterior):
    assert check(with_factors(untrained(posterior)), "mig,mig_bins") == ["mig", "mig_bins"]


@pytest.mark.parametrize("posterior", ["delta", "hamiltonian"])
def test_other_posteriors_have_it_of_bins_alone(posterior):
    experiment = with_factors(untrained(posterior))
    assert set(FACTOR_SCORES) - set(check(experiment, "all")) == {"mig"}
    with pytest.raises(UserError, match=r"'mig' needs a Gaussian posterior.*fit this run: .*mig_bins"):
        check(experiment, "mig")


OF_CODES = ("linear_probe", "knn", "few_labels", "clustering")


def test_codes_that_hold_the_label_are_not_judged_by_it():
    """The encoder of a run that is conditional on the label gets it, so that a probe of codes would find it there."""
    config = defaults.get_config("test").to_dict()
    config["data"]["context"] = "label"
    given = setup(config)
    assert not set(check(given, "all")) & {*OF_CODES}
    for name in (*OF_CODES, "classification"):
        with pytest.raises(UserError, match=r"an encoder that does not get the label|classifier of codes would see it"):
            check(given, name)
    config["context"]["encoder"] = False
    assert check(setup(config), ",".join((*OF_CODES, "classification"))) == [*OF_CODES, "classification"]


def test_without_a_labelled_test_example_nothing_is_judged_by_labels():
    experiment = untrained()
    test = experiment.dataset.test
    unknown = experiment.dataset._replace(test=test._replace(label=np.full_like(test.label, -1)))
    for name in (*OF_CODES, "classification"):
        with pytest.raises(UserError, match="No test example has a label"):
            check(experiment._replace(dataset=unknown), name)


def test_clusters_of_a_mixture_need_no_labels():
    experiment = untrained(prior="mixture_of_gaussians")
    dataset = experiment.dataset
    bare = dataset._replace(**{n: getattr(dataset, n)._replace(label=None) for n in ("train", "validation", "test")})
    assert check(experiment._replace(dataset=bare), "clustering") == ["clustering"]
    with pytest.raises(UserError, match="needs a mixture prior or labels, which the data lacks"):
        check(untrained()._replace(dataset=bare), "clustering")


def first(experiment, **num):
    """The experiment with so many examples of a split."""
    splits = {
        name: split._replace(
            **{key: None if value is None else value[: num[name]] for key, value in split._asdict().items()}
        )
        for name, split in ((name, getattr(experiment.dataset, name)) for name in num)
    }
    return experiment._replace(dataset=experiment.dataset._replace(**splits))


@pytest.mark.parametrize(
    ("metric", "num", "message"),
    [
        ("prdc", {"test": 5}, "at least 6 test examples; there are 5"),
        ("knn", {"train": 9}, "k-NN needs at least 10 training examples; there are 9"),
        ("linear_probe", {"train": 1}, "of one class"),
        ("few_labels", {"train": 1}, "of one class"),
        ("mig", {"test": 35}, r"at least 10 rows per value, \d+ in all"),
        ("dci", {"test": 1}, "factors vary"),
    ],
)
def test_too_few_examples_are_said_before_training(metric, num, message):
    experiment = untrained()
    if metric in FACTOR_SCORES:
        experiment = with_factors(experiment)
    assert check(experiment, metric) == [metric]
    few = first(experiment, **num)
    with pytest.raises(UserError, match=message) as refusal:
        check(few, metric)
    assert f" {metric}" not in str(refusal.value).partition("Metrics that fit this run:")[2]
    assert metric in check(few, "all")  # which says so when it has computed the rest
    assert check(few, "frechet") == ["frechet"]


def test_annealing_needs_a_prior_that_is_a_density():
    experiment = untrained()

    class Sampler:
        def log_prob(self, z):
            raise NotImplementedError

    model = experiment.model._replace(prior=lambda params: Sampler())
    for name in ("ais", "rate_distortion"):
        with pytest.raises(UserError, match=f"'{name}' needs a prior that is a density"):
            check(experiment._replace(model=model), name)


@pytest.mark.parametrize("outliers", ["digits", "HERE"])
def test_features_and_outliers_that_are_there_pass(tmp_path, outliers):
    np.savez(tmp_path / "net.npz")
    experiment = untrained(features=str(tmp_path / "net.npz"), outliers=outliers.replace("HERE", str(tmp_path)))
    assert check(experiment, "frechet,outliers") == ["frechet", "outliers"]


@pytest.mark.parametrize(
    ("metric", "part", "said"),
    [
        ("mig", "mig", "MIG"),
        ("mig_bins", "mig_bins", "MIG bins"),
        ("factor_vae_score", "factor_vae_score", "factor VAE score"),
        ("dci", "dci_completeness", "DCI: completeness"),
        ("clustering", "nmi", "clustering: NMI"),
        ("frechet", "frechet_distance", "Fréchet: distance"),
        ("amortization", "pareto_k", "amortization: Pareto k"),
        ("few_labels", "accuracy_of_1", "few labels: accuracy of 1"),
    ],
)
def test_a_number_is_called_by_its_metric_and_its_own_name_and_by_neither_twice(metric, part, said):
    assert label(metric, part) == said
