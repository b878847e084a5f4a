"""Load the weights of the feature network of an experiment."""

from typing import Any

import jax

from jaxvae.common.errors import UserError
from jaxvae.common.types import Tree
from jaxvae.experiment.features import ENCODER
from jaxvae.experiment.setup import Experiment
from jaxvae.models.coder import STATE
from jaxvae.models.features import NAME, load_pretrained
from jaxvae.runs.checkpoint_reader import difference, shapes
from jaxvae.runs.restore import restore_run


def feature_weights(experiment: Experiment) -> dict[str, Tree]:
    """Load the parameters of the feature network on the host, `{"features": tree}`; `{}` for an objective without one.

    Raises:
      UserError: the run or the files do not exist, or have another layout.
    """
    state: Any = jax.eval_shape(experiment.objective.init, jax.random.key(0))[1]
    if NAME not in state:
        return {}
    asked, section = experiment.config["objective"]["features"], experiment.config["features"]
    if "architecture" in section:
        return {NAME: load_pretrained(section["architecture"], asked["weights"])}
    run = restore_run(asked["run"])
    if section["part"] == ENCODER:
        found = {"params": run.params[ENCODER], **run.params.get(STATE, {}).get(ENCODER, {})}
    else:
        found = {"params": run.weights["params"][section["part"]]}
    if differing := difference({NAME: shapes(state[NAME])}, {NAME: shapes(found)}):
        raise UserError(
            f"objective.features.run: the run in '{asked['run']}' has another layout of parameters: {differing}. Train "
            "it again."
        )
    return {NAME: found}
