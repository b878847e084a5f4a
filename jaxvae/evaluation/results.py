"""Assemble `results.json` and the printed table from a run's metrics."""

import math
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import numpy as np

import jaxvae
from jaxvae.data.buckets import lengths
from jaxvae.evaluation.adding import made_with
from jaxvae.evaluation.bounds import bits_per_dim, has_grey_bernoulli, leave_out_edge, unreliable_nll
from jaxvae.evaluation.labels import label
from jaxvae.evaluation.own_units import to_own_units
from jaxvae.evaluation.table import compute, find
from jaxvae.runs.attempts import Failure
from jaxvae.runs.trained_run import TrainedRun

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpyro", "orbax-checkpoint", "numpy")
OF_TEST = ("loss", "elbo", "reconstruction", "kl", "nll", "nll_samples")


class Evaluation(NamedTuple):
    """Results of the evaluation of a run.

    Attributes:
      results: the content of `results.json` without durations: nats per example on the test set, None where undefined.
      refused: a message for each requested metric that could not be computed; also among the notes.
      failures: everything that could not be computed.
    """

    results: dict[str, Any]
    refused: list[str]
    failures: list[Failure]


def evaluate(run: TrainedRun) -> Evaluation:
    """Evaluate a run; a metric that fails leaves the others intact.

    Raises:
      UserError: a metric does not fit the run; raised before any computation.
    """
    config, dataset, restored, model = run.config, run.dataset, run.restored, run.model
    found, notes, refused, failures = compute(run, config["evaluate"]["metrics"])
    notes += refused
    test: dict[str, Any] = dict.fromkeys(OF_TEST) | found.pop("objective", {}) | found.pop("nll", {})
    notes += leave_out_edge(test, model.latent.space)
    notes += to_own_units(run, test, found) + unreliable_nll(test)
    grey = has_grey_bernoulli(run)
    if run.experiment.model.context_dim:
        notes.append(
            "The model is conditional. Numbers on test data are computed for each example at its own context; samples "
            "are drawn at contexts of test examples."
        )
    if not model.has_likelihood:
        bounding = "only ais, which needs no posterior, bounds" if "ais" in found else "no number here bounds"
        notes.append(
            f"elbo and nll are null: the posterior or the reconstruction loss is not a density, so {bounding} log p(x)."
        )
    elif dataset.sequence and (bound := test["nll"] if test["elbo"] is None else -test["elbo"]) is not None:
        if test["elbo"] is None:
            notes.append("The objective gives no elbo: the nats per step are computed from nll.")
        test["nats_per_step"] = bound / float(np.mean(lengths(dataset.test.x)))
        if dataset.sequence == "text":
            test["perplexity"] = math.exp(min(test["nats_per_step"], 700.0))
    elif model.likelihood.is_discrete and not grey and test["nll"] is not None:
        test["bits_per_dim"] = bits_per_dim(test["nll"], dataset.test)
    elif (
        not model.likelihood.is_discrete
        and dataset.test.x.dtype == np.uint8
        and len(dataset.shape) == 3
        and not run.experiment.spec.is_real
    ):
        notes.append(
            "The pixels are whole numbers, but the likelihood is a density of continuous values: its nats depend on "
            "data.pixel_range, have no lower bound, and are not bits per dimension of the pixels."
        )
    test, broken = _finite(test)
    for name, values in found.items():
        found[name], more = _finite(values)
        broken += [f"{name}.{key}" for key in more]
    if broken:
        notes.append(f"{', '.join(broken)}: NaN or infinite, written as null. Look for extreme values in the data.")
    if grey:
        which = "The pixels are grey" if len(dataset.shape) == 3 else "The data holds values between 0 and 1"
        notes.append(
            f"{which}: the reconstruction term is their cross-entropy, comparable only with other cross-entropies of "
            "the same data, not with likelihoods of binarised data."
        )
    steps = len(dataset.train.x) // config["train"]["batch_size"]
    results = {
        "test": test,
        "metrics": found,
        "made_with": {name: made_with(config, restored.step, find(name).settings) for name in found},
        "unit": "nats per example",
        "notes": notes,
        "checkpoint": {
            "which": restored.which,
            "select": config["train"]["select"],
            "step": restored.step,
            "epoch": restored.step / steps,
        },
        "settings": {section: dict(config[section]) for section in ("evaluate", "sample")},
        "data": {
            "name": config["data"]["name"],
            "checksum": f"{run.experiment.data_checksum:08x}",  # of the training set
            "shape": list(dataset.shape),
            "examples": {name: len(getattr(dataset, name).x) for name in ("train", "validation", "test")},
            "binarization": config["data"]["binarization"],
            "pixel_range": list(config["data"]["pixel_range"]),
            "scaling": config["data"].get("scaling", "none"),
            "class_names": list(dataset.class_names),
            "notes": list(dataset.notes),
        },
        "num_parameters": sum(leaf.size for leaf in jax.tree.leaves(restored.weights["params"])),
        "devices": f"{jax.device_count()} {jax.devices()[0].platform}",
        "versions": {"jaxvae": jaxvae.__version__} | {name: version(name) for name in PACKAGES},
    }
    return Evaluation(results, refused, failures)


def table(results: Mapping[str, Any]) -> str:
    """Format the test metrics as a few lines of text."""
    test = results["test"]
    names = {name: label(name) for name in test if name != "nll_samples"} | {"loss": "loss (minimised)"}
    if test["nll"] is not None:
        names["nll"] += f", {test['nll_samples']} importance samples"
    used = results["checkpoint"]
    lines = [f"test set, nats per example; checkpoint '{used['which']}', step {used['step']}"]
    lines += [_line(text, test[name]) for name, text in names.items()]
    for metric, values in results["metrics"].items():
        shown = {name: value for name, value in values.items() if not isinstance(value, (list, dict, str))}
        lines += [_line(label(metric, name), value) for name, value in shown.items()]
    return "\n".join(lines + [f"  note: {note}" for note in results["notes"]])


def _line(label: str, value: float | None) -> str:
    if isinstance(value, int):
        return f"  {label:<40}{value:10d}"
    return f"  {label:<40}" + (f"{value:10.3f}" if value is not None else "         -")


def _finite(values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Replace values that are not finite by None, since JSON has no NaN; return the values and the replaced names."""

    def is_broken(value: Any) -> bool:
        return any(map(is_broken, value)) if isinstance(value, list) else (
            isinstance(value, float) and not math.isfinite(value)
        )  # fmt: skip

    broken = [name for name, value in values.items() if is_broken(value)]
    return {name: None if name in broken else value for name, value in values.items()}, broken
