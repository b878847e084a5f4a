"""The one table of metrics, and what each needs of a run."""

from collections.abc import Callable
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

from jaxvae.errors import UserError, unknown
from jaxvae.metrics import bounds, of_run
from jaxvae.posteriors import EUCLIDEAN
from jaxvae.subject import Subject


class Metric(NamedTuple):
    """`compute(subject) -> {name: number, list or text}`, and what of NEEDS it cannot do without."""

    compute: Callable[[Subject], dict[str, Any]]
    needs: tuple[str, ...] = ()


NEEDS: dict[str, tuple[Callable[[Subject], bool], str]] = {
    "likelihood": (lambda s: s.model.has_likelihood, "a posterior and a likelihood that are densities"),
    "euclidean": (lambda s: s.model.posterior.space == EUCLIDEAN, "latents in R^n"),
    "density": (lambda s: s.model.posterior.is_density, "a posterior with a density"),
    "labels": (lambda s: s.dataset.test.label is not None, "labels, which the data lacks"),
    "factors": (lambda s: s.dataset.test.factors is not None, "true factors, which the data lacks"),
    "images": (lambda s: len(s.dataset.shape) == 3, "images [height, width, channels]"),
    "outliers": (lambda s: bool(s.config["evaluate"]["outliers"]), "another data set in evaluate.outliers"),
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
    "frechet": Metric(of_run.frechet),
    "prdc": Metric(of_run.prdc),
    "fidelity": Metric(of_run.reconstruction_fidelity, ("images",)),
    "outliers": Metric(of_run.outliers, ("outliers",)),
}


def compute(subject: Subject, asked: str) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """`({metric: {name: value}}, notes)`: the objective's own and the NLL, always, and those that are `asked` for.

    Args:
      subject: the trained run.
      asked: names of METRICS with commas between them; "" for none, "all" for those that this run can give.

    Raises:
      UserError: an unknown name, or a metric that this run cannot give: said before anything is computed, where it
        can be seen by then, with those that it can.
    """
    names = check(subject, asked)
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
            if asked == "all":
                notes.append(f"{name} was left out: {error}")
                continue
            raise UserError(f"The metric '{name}' cannot be computed: {error} {_possible(subject)}") from error
        if text := found[name].get("warning"):
            notes.append(str(text))
    return found, notes


def check(subject: Subject, asked: str) -> list[str]:
    """The names in `asked`; UserError for one that is unknown or lacks what it needs."""
    if asked == "all":
        return [name for name in METRICS if not _missing(subject, name)]
    names = list(dict.fromkeys(name for name in asked.replace(" ", "").split(",") if name))
    if "all" in names:
        raise UserError(f"evaluate.metrics is '{asked}', but 'all' stands alone: it is all that fit the run.")
    for name in names:
        if name not in METRICS:
            raise unknown("metric", name, [*METRICS, "all"])
        if missing := _missing(subject, name):
            raise UserError(f"The metric '{name}' needs {' and '.join(missing)}. {_possible(subject)}")
    return names


def _missing(subject: Subject, name: str) -> list[str]:
    return [NEEDS[need][1] for need in METRICS[name].needs if not NEEDS[need][0](subject)]


def _possible(subject: Subject) -> str:
    return f"Metrics that fit this run: {', '.join(name for name in METRICS if not _missing(subject, name))}."
