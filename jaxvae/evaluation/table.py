"""Define the table of metrics and their requirements, and compute them."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.threads import one_thread
from jaxvae.common.types import Params
from jaxvae.evaluation import audit, bounds, imputation, of_data, of_factors, of_run, of_tables
from jaxvae.evaluation.as_json import plain
from jaxvae.evaluation.progress import progress
from jaxvae.experiment import own
from jaxvae.experiment.setup import Experiment
from jaxvae.metrics.paths import prior_is_density
from jaxvae.models import Model, given
from jaxvae.models.clusters import num_clusters
from jaxvae.runs.attempts import Failure, attempt
from jaxvae.runs.trained_run import TrainedRun


class Metric(NamedTuple):
    """A metric of a run.

    Attributes:
      compute: `run -> {name: number, list or text}`.
      needs: its requirements, keys of NEEDS.
      check: `config -> None`, raises UserError where a setting of the metric names something that does not exist.
      enough: `experiment -> None`, raises UserError where the data has too few examples, or a package is missing.
      settings: keys and sections of the settings that it depends on, recorded with it.
    """

    compute: Callable[[TrainedRun], dict[str, Any]]
    needs: tuple[str, ...] = ()
    check: Callable[[Mapping[str, Any]], None] = lambda config: None
    enough: Callable[[Experiment], None] = lambda experiment: None
    settings: tuple[str, ...] = ("evaluate",)


class Computed(NamedTuple):
    """Computed metrics and failures.

    Attributes:
      metrics: `{metric: {name: value}}`, in JSON's types.
      notes: warnings of metrics; with "all" also a note for each metric that could not be computed.
      refused: a message for each requested metric that could not be computed.
      failures: everything that could not be computed.
    """

    metrics: dict[str, dict[str, Any]]
    notes: list[str]
    refused: list[str]
    failures: list[Failure]


def _of_shapes(ask: Callable[[Model, Params], bool]) -> Callable[[Experiment], bool]:
    """Turn a question about a model and its parameters into one about an untrained experiment."""

    def answer(experiment: Experiment) -> bool:
        model, objective = experiment.model, experiment.objective
        shapes = jax.eval_shape(lambda key: objective.model_params(*objective.init(key)), jax.random.key(0))
        return ask(given(model, jax.numpy.zeros(model.context_dim)) if model.context_dim else model, shapes)

    return answer


NEEDS: dict[str, tuple[Callable[[Experiment], bool], str]] = {
    "likelihood": (lambda e: e.model.likelihood.is_density, "a likelihood that is a density"),
    "euclidean": (lambda e: e.model.latent.space.is_linear, "latents in R^n"),
    "prior": (_of_shapes(prior_is_density), "a prior that is a density"),
    "density": (lambda e: e.model.latent.knows_density, "a posterior with a density at any z"),
    "moments": (_of_shapes(of_factors.has_moments), "a Gaussian posterior"),
    "labels": (lambda e: e.dataset.test.label is not None, "labels, which the data lacks"),
    "clusters": (
        lambda e: e.dataset.test.label is not None or num_clusters(e.model) > 0,
        "a mixture prior or labels, which the data lacks",
    ),
    "codes": (lambda e: not e.codes_hold_labels, "an encoder that does not get the label"),
    "factors": (lambda e: e.dataset.test.factors is not None, "true factors, which the data lacks"),
    "values": (lambda e: not e.spec.sequence, "data other than text or music"),
    **{**of_tables.NEEDS, **imputation.NEEDS, **of_data.NEEDS, **audit.NEEDS},
}

NUM = ("evaluate.max_examples",)
ANNEALED = ("evaluate.ais_examples", "evaluate.ais_chains", "evaluate.ais_temperatures")
GENERATED = ("evaluate.features", *NUM, "sample.sampler", "sample.temperature")

METRICS: dict[str, Metric] = {
    "collapse": Metric(of_run.collapse, settings=NUM),
    "aggregate_kl": Metric(of_run.aggregate_kl, ("density",), settings=NUM),
    "ais": Metric(of_run.ais, ("likelihood", "euclidean", "prior"), settings=ANNEALED),
    "rate_distortion": Metric(of_run.rate_distortion, ("euclidean", "prior"), settings=ANNEALED),
    "amortization": Metric(audit.amortization, ("likelihood", "moments", "prior"), settings=("evaluate.ais_examples",)),
    "posterior_calibration": Metric(audit.posterior_calibration, ("ranks",), settings=()),
    "predictive_checks": Metric(audit.predictive_checks, ("likelihood",), settings=NUM),
    "linear_probe": Metric(of_run.linear_probe, ("labels", "codes"), enough=of_run.check_classes, settings=()),
    "knn": Metric(of_run.knn, ("labels", "codes"), enough=of_run.check_knn_rows, settings=()),
    "few_labels": Metric(of_run.few_labels, ("labels", "codes"), enough=of_run.check_classes, settings=()),
    "classification": Metric(
        of_run.classification, ("labels",), enough=of_run.check_classifier, settings=("evaluate.classifier",)
    ),
    "clustering": Metric(of_run.clustering, ("clusters", "codes"), enough=of_run.check_clusters, settings=NUM),
    **{
        name: Metric(score, needs, enough=of_factors.check_rows, settings=NUM)
        for name, (score, needs) in of_factors.FACTOR_SCORES.items()
    },
    "frechet": Metric(of_data.frechet, ("values", "complete"), of_data.check_features, settings=GENERATED),
    "prdc": Metric(of_data.prdc, ("values", "complete"), of_data.check_features, of_data.check_prdc_rows, GENERATED),
    **{
        name: Metric(score, needs, enough=of_tables.check_rows, settings=of_tables.SETTINGS)
        for name, (score, needs) in of_tables.TABLE_SCORES.items()
    },
    "fidelity": Metric(
        of_data.reconstruction_fidelity, ("images", "complete"), enough=of_data.check_ssim_installed, settings=NUM
    ),
    "sharpness": Metric(
        of_data.sharpness, ("images", "complete"), settings=(*NUM, "sample.sampler", "sample.temperature")
    ),
    "imputation": Metric(imputation.imputation, ("hidden", "likelihood"), settings=NUM),
    "outliers": Metric(
        of_data.outliers, ("outliers", "values"), of_data.check_outliers, settings=("evaluate.outliers", *NUM)
    ),
}


def find(name: str) -> Metric:
    """Return a metric by name: one of METRICS, or the result of the function `module:function`.

    Raises:
      UserError: an unknown name, or see `experiment.own.find`.
    """
    if own.is_own(name):
        return own.find("metric", name, {"jaxvae.evaluation.table.Metric": Metric})()
    if name not in METRICS:
        raise unknown("metric", name, [*METRICS, "all"])
    return METRICS[name]


def compute(run: TrainedRun, asked: str) -> Computed:
    """Compute the objective's metrics, the NLL (with a likelihood), and the metrics in `asked`.

    A metric that fails, with any exception, leaves the others intact.

    Args:
      run: the trained run.
      asked: names of metrics separated by commas; "" for none, "all" for all of METRICS that fit this run.

    Raises:
      UserError: see `chosen`; raised before any computation.
    """
    names = chosen(run.experiment, asked)
    found, notes, refused, failures = Computed({}, [], [], [])

    def add(name: str, compute: Callable[[], dict[str, Any]], message: Callable[[Failure], str], to: list[str]) -> None:
        values = attempt(name, failures, lambda: plain(compute()))
        if values is None:
            to.append(message(failures[-1]))
        else:
            found[name] = values

    def of_metric(name: str) -> dict[str, Any]:
        find(name).check(run.config)
        find(name).enough(run.experiment)
        # Threads add in any order, which changes the last bits; on a busy machine they wait for each other.
        with one_thread():
            return find(name).compute(run)

    def cannot(failure: Failure) -> str:
        return _cannot(run.experiment, failure.name, failure.reason)

    always = {"objective": bounds.objective_means} | ({"nll": bounds.nll} if run.model.has_likelihood else {})
    for name, compute_ in always.items():
        add(name, partial(compute_, run), lambda failure: f"The test set's {failure.note}", refused)
    for name in (bar := progress("metrics", names, "metric")):
        bar.set_description(name)
        if _asked(asked) == ["all"]:
            add(name, partial(of_metric, name), lambda failure: failure.note, notes)
        else:
            add(name, partial(of_metric, name), cannot, refused)
        if text := found.get(name, {}).get("warning"):
            notes.append(str(text))
    return Computed(found, notes, refused, failures)


def chosen(experiment: Experiment, asked: str) -> list[str]:
    """Return the names in `asked`; for "all" those of METRICS whose needs this experiment meets.

    Raises:
      UserError: "all" beside other names.
    """
    names = _asked(asked)
    if "all" in names and names != ["all"]:
        raise UserError(f"evaluate.metrics is '{asked}'; give 'all' alone, for all metrics that fit the run.")
    return names if names != ["all"] else [name for name in METRICS if not _missing(experiment, name)]


def check(experiment: Experiment, asked: str) -> list[str]:
    """Check cheaply, before or after training, that these metrics can be computed for an experiment.

    This checks the parts of the model, the kind and size of the data, and the files, runs and data sets that metrics
    read. With "all", metrics with too few examples are accepted: `compute` leaves them out with a note.

    Args:
      experiment: as built by `setup`.
      asked: as for `compute`.

    Returns:
      The names, see `chosen`.

    Raises:
      UserError: an unknown name, a metric whose needs are not met or that has too few examples, or a metric's setting
        that names something that does not exist.
    """
    names = chosen(experiment, asked)
    for name in names:
        if missing := _missing(experiment, name):
            raise UserError(f"The metric '{name}' needs {' and '.join(missing)}. {_possible(experiment, name)}")
        find(name).check(experiment.config)
        if _asked(asked) != ["all"] and (error := _too_few(experiment, name)):
            raise UserError(_cannot(experiment, name, error)) from error
    return names


def _asked(asked: str) -> list[str]:
    return list(dict.fromkeys(name for name in asked.replace(" ", "").split(",") if name))


def _missing(experiment: Experiment, name: str) -> list[str]:
    return [NEEDS[need][1] for need in find(name).needs if not NEEDS[need][0](experiment)]


def _too_few(experiment: Experiment, name: str) -> UserError | None:
    try:
        find(name).enough(experiment)
    except UserError as error:
        return error
    return None


def _cannot(experiment: Experiment, name: str, reason: UserError | str) -> str:
    return f"The metric '{name}' cannot be computed: {reason} {_possible(experiment, name)}"


def _possible(experiment: Experiment, refused: str) -> str:
    others = [name for name in METRICS if name != refused and not _missing(experiment, name)]
    return f"Metrics that fit this run: {', '.join(name for name in others if not _too_few(experiment, name))}."
