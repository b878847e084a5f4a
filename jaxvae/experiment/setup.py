"""Build and check an experiment, everything in a config, before anything is written."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxvae import data
from jaxvae.data.spec import DataSpec
from jaxvae.experiment import build, sources
from jaxvae.experiment.checks import check_ranges
from jaxvae.models.base import Model
from jaxvae.models.context import given
from jaxvae.objectives import Objective


class Experiment(NamedTuple):
    """The data, model and objective of a config, built and checked.

    `shown` is the model used for samples, pictures, tools and metrics: `model` itself, or, where that is conditional,
    `model` given the context of the first test example.
    """

    config: Mapping[str, Any]
    dataset: data.Dataset
    model: Model
    shown: Model
    objective: Objective
    preprocess: Callable
    total_steps: int
    spec: DataSpec
    data_checksum: int


def setup(config: Mapping[str, Any]) -> Experiment:
    """Build the experiment of a config.

    Raises:
      UserError: a setting that cannot work.
    """
    check_ranges(config)
    preprocess = data.make_preprocess(1.0, "none", config["data"]["pixel_range"])  # fails before data is read
    dataset = sources.load(config["data"])
    preprocess = data.make_preprocess(dataset.max_value, config["data"]["binarization"], config["data"]["pixel_range"])
    levels = 2 if config["data"]["binarization"] == "dynamic" else dataset.levels
    is_float = dataset.train.x.dtype == np.float32 and levels > 2
    spec = DataSpec(dataset.shape, levels, is_float, dataset.sequence, dataset.vocabulary, dataset.context_dim)
    model = build.model(config, spec)
    total_steps = config["train"]["num_epochs"] * (len(dataset.train.x) // max(config["train"]["batch_size"], 1))
    objective = build.objective(config, model, spec, total_steps)
    checksum = data.checksum(dataset.train, dataset.vocabulary)
    shown = model if dataset.test.context is None else given(model, dataset.test.context[0])
    return Experiment(config, dataset, model, shown, objective, preprocess, total_steps, spec, checksum)
