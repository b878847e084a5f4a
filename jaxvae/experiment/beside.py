"""Build what an objective takes beside its model: a classifier and the labels, a discriminator, features."""

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

from jaxvae.common.errors import UserError
from jaxvae.data.feed import labelled_of
from jaxvae.data.spec import DataSpec
from jaxvae.experiment import own
from jaxvae.experiment.defaults import INNER
from jaxvae.experiment.features import feature_network, has_features
from jaxvae.experiment.parts import PARTS, part
from jaxvae.models.base import Model
from jaxvae.models.classifier import make_classifier
from jaxvae.models.discriminator import make_discriminator
from jaxvae.models.facts import Labels
from jaxvae.networks import Network
from jaxvae.networks.precision import computed, computed_discriminator

COMPUTING = {"dtype": "compute_dtype", "remat": "remat"}  # arguments of `computed` and their settings


def arguments(config: Mapping[str, Any], builder: Any, model: Model, data: DataSpec) -> dict[str, Any]:
    """Build what stands in the signature of an objective: `labels`, `classifier`, `discriminator`, `features`.

    Raises:
      UserError: the data has no labels, or of one class alone; settings of a part that the objective does not take; no
        feature network, or one that cannot read the data.
    """
    takes = inspect.signature(builder).parameters
    for path in INNER:
        inner = path.rpartition(".")[2]
        if config["objective"].get(inner) and inner not in takes:
            raise UserError(
                f"The objective '{config['objective']['name']}' does not take a {inner}, which {path} describes: take "
                f"it out, or take an objective with one: {', '.join(_taking(inner))}."
            )
    return {
        **_classifying(config, takes, model, data),
        **({"discriminator": _discriminating(config)} if "discriminator" in takes else {}),
        **_comparing(config, takes, data),
        **({"data_labels": _labels(config, data)} if "data_labels" in takes else {}),
    }


def without_inner(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of an objective without those of the parts that it takes."""
    return {key: value for key, value in spec.items() if f"objective.{key}" not in INNER}


def network_of(spec: Mapping[str, Any], config: Mapping[str, Any], given: Mapping[str, Any], data: DataSpec) -> Network:
    """Build a network that computes as the section `train` says; a user's config may have only those of the model."""
    return computed(part("network", spec, given)(), **_computing(config), tokens=data.sequence == "text")


def _computing(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: config["train"][name] for key, name in COMPUTING.items() if name in config.get("train", {})}


def _taking(argument: str) -> list[str]:
    return [name for name, each in PARTS["objective"].items() if argument in inspect.signature(each).parameters]


def _comparing(config: Mapping[str, Any], takes: Mapping[str, Any], data: DataSpec) -> dict[str, Any]:
    """Build the argument `features`; none where it has a default and the config names no network."""
    asked = takes.get("features")
    if asked is None or (asked.default is not asked.empty and not has_features(config)):
        return {}
    return {"features": feature_network(config, data)}


def _discriminating(config: Mapping[str, Any]) -> partial:
    """Return `(input_shape, context_dim=0) -> Discriminator`, by `objective.discriminator`."""
    options = dict(config["objective"].get("discriminator", {}))
    network = part("discriminator", {"name": options.pop("network", "mlp"), **options})()
    return partial(make_discriminator, computed_discriminator(network, **_computing(config)))


def _labels(config: Mapping[str, Any], data: DataSpec) -> Labels | None:
    """Return the facts about the labels of the data; None where they are not of two classes or more."""
    share, size = config["train"].get("labelled_share", 0.0), max(config["train"]["batch_size"], 1)
    in_batch = labelled_of(share, size) / size if share else data.labelled
    return Labels(data.classes, data.label_position, data.labelled, in_batch) if len(data.labels) > 1 else None


def _classifying(config: Mapping[str, Any], takes: Mapping[str, Any], model: Model, data: DataSpec) -> dict[str, Any]:
    """Build the arguments `labels` and `classifier`.

    Raises:
      UserError: the data has no labels, or of one class alone.
    """
    name, share = config["objective"]["name"], config["train"].get("labelled_share", 0.0)
    if "labels" not in takes:
        _check_without_labels(name, share, data)
        return {}
    labels = _labels(config, data)
    if labels is None:
        has = f"all labels of the data are of one class, {data.labels[0]}" if data.labels else "the data has no labels"
        raise UserError(
            f"The objective '{name}' learns to classify, but {has}: give labels of at least two classes (data.label "
            "names those of your own file), or take another objective, 'elbo' for example."
        )
    spec = config.get("classifier") or config["network"]
    network = network_of(spec, config, {"data_shape": model.data_shape, "levels": data.levels}, data)
    made = make_classifier(network, model.likelihood, model.data_shape, labels.num, model.mask_input)
    return {"labels": labels} | ({"classifier": made} if "classifier" in takes else {})


def _check_without_labels(name: Any, share: float, data: DataSpec) -> None:
    """Raise UserError where an objective that learns no classes would get half-known labels; a user's own may not."""
    if own.is_own(name):
        return
    if data.has_unknown_classes:
        raise UserError(
            f"data.context has the label, but only {data.labelled:.2%} of the training examples have one, and the "
            f"objective '{name}' takes it as known: take objective=m2, which sums over the classes where it is not, or "
            "leave the label out of data.context."
        )
    if share:
        raise UserError(
            f"train.labelled_share is {share}, but the objective '{name}' does not weigh labelled examples: batches "
            "would hold some of them too often. Leave it at 0, or take objective=m2 or supervised."
        )
