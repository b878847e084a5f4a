"""Where training starts: at the newest checkpoint of the run, at the parameters of another run, or anew."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from jaxvae.checkpoint import Checkpoints
from jaxvae.checkpoint_reader import shapes
from jaxvae.errors import UserError
from jaxvae.experiment import Experiment
from jaxvae.recorder import join_state, split_state
from jaxvae.train import TrainState, init_state
from jaxvae.trees import flatten
from jaxvae.types import Key, Tree
from jaxvae.workdir import restore_run


def start(
    experiment: Experiment,
    optimizer: optax.GradientTransformation,
    key: Key,
    checkpoints: Checkpoints,
    given: Mapping[str, Tree],
) -> tuple[TrainState, int, dict[str, Any]]:
    """The newest saved state, or else the initial one with the parts `given`: `(state, step, what was noted with it)`.

    Raises:
      UserError: the run saw other data than this so far.
    """

    def check(info: dict[str, Any]) -> None:
        check_data(info, experiment.data_checksum, checkpoints.folder.parent)

    init = partial(init_state, experiment.objective, optimizer)
    template = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), jax.eval_shape(init, key))
    found = checkpoints.restore_latest(*split_state(template), check)
    if found is None:
        return jax.jit(init)(key, given), 0, {}
    step, weights, rest, info = found
    return join_state(weights, rest), step, info


def weights_of(experiment: Experiment, workdir: Path) -> tuple[dict[str, Tree], list[str]]:
    """What `train.start_from` gives a run in `workdir`: `(weights, notes)`, both empty where it is "".

    The weights are those of the other run's best checkpoint, `{"params": {group: {part: tree}}, "extra": ...}`, of
    every part that both runs have. The other run is read for the first start alone: a run that goes on needs it no
    more.

    Raises:
      UserError: there is no such run, or a part of it has other shapes than here, or another vocabulary.
    """
    folder = experiment.config["train"]["start_from"]
    if not folder or any((workdir / "checkpoints").glob("[0-9]*")):
        return {}, []
    try:
        other = restore_run(folder)
    except UserError as error:
        raise UserError(f"train.start_from cannot be used: {error}") from error
    if other.spec.vocabulary != experiment.spec.vocabulary:
        raise UserError(
            f"train.start_from: the run in '{folder}' has a vocabulary of {len(other.spec.vocabulary)} words, which is "
            f"not this one of {len(experiment.spec.vocabulary)}: its parameters belong to other words. Give a run on "
            "the same text with the same data.sequence settings."
        )
    weights = {}
    kinds = zip(("params", "extra"), jax.eval_shape(experiment.objective.init, jax.random.key(0)), strict=True)
    for kind, here in kinds:
        there = other.weights.get(kind) or {}
        weights[kind] = {name: _common(name, here[name], there[name], folder) for name in here if name in there}
    return weights, [f"Starts from the run in '{folder}', step {other.step}."]


def _common(group: str, here: Tree, there: Tree, folder: str) -> Tree:
    """The parts of a group that are here and there, or the group where it has no parts, as they are there.

    Raises:
      UserError: one of them has other shapes.
    """
    if isinstance(here, dict) and isinstance(there, dict):
        here, there = ({part: tree[part] for part in here if part in there} for tree in (here, there))
    new, old = flatten({group: shapes(here)}), flatten({group: shapes(there)})
    differing = [key for key in (new | old) if new.get(key) != old.get(key)]
    if differing:
        key = differing[0]
        sizes = ["{} {}".format(*each[key]) if key in each else "missing" for each in (old, new)]
        raise UserError(
            f"train.start_from: the run in '{folder}' has another network: {key} is {sizes[0]} there and {sizes[1]} "
            f"here ({len(differing)} arrays differ). Give a run with the same model and network settings."
        )
    return there


def check_data(info: Mapping[str, Any], checksum: int, workdir: Path) -> None:
    """Raises UserError where a run was trained on other data than is here now."""
    if info["data_checksum"] != checksum:
        raise UserError(
            f"The training data is not the one that the run in '{workdir}' has seen so far: its values, its labels or "
            "its size changed. Nothing was changed there. Give the former data, or another --workdir."
        )
