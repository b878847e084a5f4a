"""An experiment: everything that a config names, built and checked before anything is written."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxvae import build, data
from jaxvae.errors import UserError
from jaxvae.model import Model
from jaxvae.objectives import Objective


class Experiment(NamedTuple):
    """Everything that a config names, built and checked; nothing is written yet."""

    config: Mapping[str, Any]
    dataset: data.Dataset
    model: Model
    objective: Objective
    preprocess: Callable


def setup(config: Mapping[str, Any]) -> Experiment:
    """Builds what the config names.

    Raises:
      UserError: anything in it that cannot work.
    """
    settings = config["train"]
    for name in ("num_epochs", "steps_per_call", "eval_every_epochs"):
        if settings[name] < 1:
            raise UserError(f"train.{name} is {settings[name]}; it must be 1 or more.")
    if config["evaluate"]["nll_samples"] < 1:
        raise UserError(f"evaluate.nll_samples is {config['evaluate']['nll_samples']}; it must be 1 or more.")
    if not 0 <= config["seed"] < 2**32:
        raise UserError(f"seed is {config['seed']}; it must be from 0 to 2**32 - 1.")
    source = {key: value for key, value in config["data"].items() if key != "pixel_range"}
    preprocess = data.make_preprocess(1.0, "none", config["data"]["pixel_range"])  # refused before anything is read
    dataset = data.load(**source)
    preprocess = data.make_preprocess(dataset.max_value, config["data"]["binarization"], config["data"]["pixel_range"])
    model = build.model(config, dataset.shape)
    return Experiment(config, dataset, model, build.objective(config, model), preprocess)
