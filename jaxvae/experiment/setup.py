"""Build and check an experiment, everything in a config, before anything is written."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax

from jaxvae import data
from jaxvae.common.places import IN_MEMORY
from jaxvae.data.context import conditioned, names_of
from jaxvae.data.few_labels import keep_labels
from jaxvae.data.missing import has_missing, hide
from jaxvae.data.scaling import without_pixels
from jaxvae.data.spec import DataSpec, describe, fitted, preprocess_of
from jaxvae.experiment import build, sources
from jaxvae.experiment.checks import check_ranges
from jaxvae.experiment.features import with_features
from jaxvae.experiment.objects import with_objects
from jaxvae.experiment.own import is_own as is_own_name
from jaxvae.experiment.stages import with_stage
from jaxvae.models.base import Model
from jaxvae.objectives import Objective


class Experiment(NamedTuple):
    """The data, model and objective of a config, built and checked.

    `objects` are the parts that were given built.
    """

    config: Mapping[str, Any]
    dataset: data.Dataset
    model: Model
    objective: Objective
    preprocess: Callable
    total_steps: int
    spec: DataSpec
    data_checksum: int
    objects: Mapping[str, Any] = MappingProxyType({})

    @property
    def codes_hold_labels(self) -> bool:
        """Whether the encoder gets the label, so that a probe of the codes would find it there."""
        return self.spec.label_position is not None and self.config.get("context", {}).get("encoder", True)


def setup(
    config: Mapping[str, Any],
    dataset: data.Dataset | None = None,
    objects: Mapping[str, Any] = MappingProxyType({}),
) -> Experiment:
    """Build the experiment of a config.

    Args:
      config: the settings.
      dataset: the data; where given, it is used instead of loading that of the section `data`.
      objects: parts that are built already, by the path of their setting: see `experiment.objects`.

    Returns:
      The experiment; its config has a smaller `train.batch_size` where the user's own data has fewer examples.

    Raises:
      UserError: a setting that cannot work.
    """
    check_ranges(config)
    config = with_features(with_stage(config))
    data.make_preprocess(1.0, "none", config["data"]["pixel_range"])  # fails before data is read
    dataset = sources.load(config["data"]) if dataset is None else dataset
    config, dataset = _batches_of(config, without_pixels(dataset, config["data"]))
    context = config["data"].get("context", "")
    dataset = keep_labels(dataset, config["data"].get("labels", 0), config["data"].get("labels_seed", 0))
    how = config["data"].get("missing", 0.0), config["data"].get("missing_seed", 0)
    dataset = hide(dataset, *how, names_of(context))
    incomplete = has_missing(dataset.train)  # before the pixels of a context are masked
    dataset, fields = conditioned(dataset, context)
    spec, notes = describe(dataset, config["data"])
    spec = spec._replace(context=fields, has_missing=incomplete)
    total_steps = config["train"]["num_epochs"] * (len(dataset.train.x) // max(config["train"]["batch_size"], 1))
    model, objective = built(config, spec, objects, total_steps)
    spec, more = fitted(spec, dataset, model.likelihood.support)
    dataset = dataset._replace(notes=(*dataset.notes, *notes, *more))
    preprocess = preprocess_of(config, spec)
    checksum = data.checksum(dataset.train, dataset.vocabulary)
    return Experiment(config, dataset, model, objective, preprocess, total_steps, spec, checksum, objects)


def _batches_of(config: Mapping[str, Any], dataset: data.Dataset) -> tuple[Mapping[str, Any], data.Dataset]:
    """Make a batch size fit the user's own small data: the most examples that the devices share equally."""
    settings, given, num = config["data"], config["train"]["batch_size"], len(dataset.train.x)
    size = num - num % jax.device_count()
    is_own = settings["path"] or settings["name"] == IN_MEMORY or is_own_name(settings["name"])
    if given <= num or not size or not is_own:
        return config, dataset
    note = f"train.batch_size is {size} instead of {given}, since there are {num} training examples"
    config = {**config, "train": {**config["train"], "batch_size": size}}
    return config, dataset._replace(notes=(*dataset.notes, note))


def built(
    config: Mapping[str, Any], spec: DataSpec, objects: Mapping[str, Any], total_steps: int = 1
) -> tuple[Model, Objective]:
    """Build the model and the objective of a config, for data of a spec; see `setup`."""
    building = with_objects(config, objects)
    model = build.model(building, spec)
    return model, build.objective(building, model, spec, total_steps)
