"""The one table of metrics, and what each needs of a run."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
from threadpoolctl import threadpool_limits

from jaxvae.densities import knows_density
from jaxvae.errors import UserError, unknown
from jaxvae.experiment import Experiment
from jaxvae.metrics import bounds, of_data, of_run
from jaxvae.posteriors import EUCLIDEAN
from jaxvae.subject import Subject


class Metric(NamedTuple):
    """A metric of a run.

    Attributes:
      compute: `subject -> {name: number, list or text}`.
      needs: what of NEEDS it cannot do without.
      check: `config -> None`, UserError for a setting of its own that names nothing.
    """

    compute: Callable[[Subject], dict[str, Any]]
    needs: tuple[str, ...] = ()
    check: Callable[[Mapping[str, Any]], None] = lambda config: None


def _knows_density(experiment: Experiment) -> bool:
    objective = experiment.objective
    shapes = jax.eval_shape(lambda key: objective.model_params(*objective.init(key)), jax.random.key(0))
    return knows_density(experiment.model, shapes)


NEEDS: dict[str, tuple[Callable[[Experiment], bool], str]] = {
    "likelihood": (lambda e: e.model.has_likelihood, "a posterior and a likelihood that are densities"),
    "euclidean": (lambda e: e.model.posterior.space == EUCLIDEAN, "latents in R^n"),
    "density": (_knows_density, "a posterior that knows its density at any z"),
    "labels": (lambda e: e.dataset.test.label is not None, "labels, which the data lacks"),
    "factors": (lambda e: e.dataset.test.factors is not None, "true factors, which the data lacks"),
    "images": (lambda e: len(e.dataset.shape) == 3, "images [height, width, channels]"),
    "outliers": (lambda e: bool(e.config["evaluate"]["outliers"]), "another data set in evaluate.outliers"),
}

METRICS: dict[str, Metric] = {
    "collapse": Metric(of_run.collapse),
    "aggregate_kl": Metric(of_run.aggregate_kl, ("density",)),
    "ais": Metric(of_run.ais, ("likelihood", "euclidean")),
    "rate_distortion": Metric(of_run.rate_distortion, ("euclidean",)),
    "linear_probe": Metric(of_run.linear_probe, ("labels",)),
    "knn": Metric(of_run.knn, ("labels",)),
    "few_labels": Metric(of_run.few_labels, ("labels",)),
    "clustering": Metric(of_run.clustering, ("labels",)),
    **{name: Metric(score, ("factors",)) for name, score in of_run.FACTOR_SCORES.items()},
    "frechet": Metric(of_data.frechet, check=of_data.check_features),
    "prdc": Metric(of_data.prdc, check=of_data.check_features),
    "fidelity": Metric(of_data.reconstruction_fidelity, ("images",)),
    "outliers": Metric(of_data.outliers, ("outliers",), of_data.check_outliers),
}


def compute(subject: Subject, asked: str) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """`({metric: {name: value}}, notes)`: the objective's own and the NLL, always, and those that are `asked` for.

    Args:
      subject: the trained run.
      asked: names of METRICS with commas between them; "" for none, "all" for those that this run can give.

    Raises:
      UserError: as `check`, before anything is computed; or a metric that this run turns out not to give, with those
        that it can.
    """
    names = check(subject.experiment, asked)
    found = {"objective": bounds.objective_means(subject)}
    if subject.model.has_likelihood:
        found["nll"] = bounds.nll(subject)
    notes = []
    for name in names:
        try:
            # Threads add up in any order, and the last bits with them; on a busy machine they wait for each other.
            with threadpool_limits(1):
                found[name] = METRICS[name].compute(subject)
        except UserError as error:
            if _asked(asked) == ["all"]:
                notes.append(f"{name} was left out: {error}")
                continue
            said = f"The metric '{name}' cannot be computed: {error} {_possible(subject.experiment)}"
            raise UserError(said) from error
        if text := found[name].get("warning"):
            notes.append(str(text))
    return found, notes


def check(experiment: Experiment, asked: str) -> list[str]:
    """The names in `asked`, of metrics that a run of this experiment can give; it need not be trained yet.

    Only what costs nothing is looked at: the parts of the model, what the data has, and whether the files, runs and
    data sets that `evaluate.features` and `evaluate.outliers` name are there, where a metric reads these.

    Args:
      experiment: what `setup` made of the config.
      asked: as for `compute`.

    Raises:
      UserError: an unknown name, a metric that lacks what it needs, or a setting of a metric that names nothing.
    """
    names = _asked(asked)
    if "all" in names and names != ["all"]:
        raise UserError(f"evaluate.metrics is '{asked}', but 'all' stands alone: it is all that fit the run.")
    if names == ["all"]:
        names = [name for name in METRICS if not _missing(experiment, name)]
    for name in names:
        if name not in METRICS:
            raise unknown("metric", name, [*METRICS, "all"])
        if missing := _missing(experiment, name):
            raise UserError(f"The metric '{name}' needs {' and '.join(missing)}. {_possible(experiment)}")
        METRICS[name].check(experiment.config)
    return names


def _asked(asked: str) -> list[str]:
    return list(dict.fromkeys(name for name in asked.replace(" ", "").split(",") if name))


def _missing(experiment: Experiment, name: str) -> list[str]:
    return [NEEDS[need][1] for need in METRICS[name].needs if not NEEDS[need][0](experiment)]


def _possible(experiment: Experiment) -> str:
    return f"Metrics that fit this run: {', '.join(name for name in METRICS if not _missing(experiment, name))}."
