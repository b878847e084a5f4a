"""Where training starts: at the newest checkpoint of the run, at the parameters of another run, or anew."""

import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from jaxvae.common.errors import UserError
from jaxvae.common.types import Tree
from jaxvae.experiment.plain import flatten
from jaxvae.experiment.setup import Experiment
from jaxvae.runs.checkpoint_reader import shapes
from jaxvae.runs.checkpoints import Checkpoints
from jaxvae.runs.restore import restore_run
from jaxvae.train import sharding
from jaxvae.train.state import TrainState, init_state, join_state, split_state, streams


def start(
    experiment: Experiment, optimizer: optax.GradientTransformation, checkpoints: Checkpoints
) -> tuple[TrainState, int, dict[str, Any]]:
    """Load the newest checkpoint, or else draw the initial state: `(state, step, info of the checkpoint)`.

    Raises:
      UserError: the run saw other data than this so far; or see `other_weights`.
    """

    def check(info: dict[str, Any]) -> None:
        check_data(info, experiment.data_checksum, checkpoints.folder.parent)

    seed = experiment.config["seed"]
    init = partial(init_state, experiment.objective, optimizer)
    template = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), jax.eval_shape(init, jax.random.key(seed)))
    # Migration: checkpoints of the first version lack the key, which follows from the seed.
    template = template._replace(key=np.asarray(jax.random.key_data(streams(jax.random.key(seed))["train"])))
    found = checkpoints.restore_latest(*split_state(template), check)
    if found is not None:
        step, weights, rest, info = found
        return join_state(weights, rest), step, info
    given = {}
    if experiment.config["train"]["start_from"]:
        given, step, note = other_weights(experiment)
        agreed = sharding.agree(step)
        if agreed != step:  # the other run is still being trained, and its best checkpoint another one for this host
            given, _, note = other_weights(experiment, str(agreed))
        if jax.process_index() == 0:
            print(note, file=sys.stderr)
    return jax.jit(init)(jax.random.key(seed), given), 0, {}


def other_weights(experiment: Experiment, checkpoint: str = "best") -> tuple[dict[str, Tree], int, str]:
    """What `train.start_from` gives a run: `(weights, the other run's step, one line to say so)`.

    The weights are those of every part that both runs have, `{"params": {group: {part: tree}}, "extra": ...}`. Where
    the two do not keep the same state beside their parameters (a decoder that is divided by its norms there alone), the
    other model is taken as it is used.

    Raises:
      UserError: there is no such run, or a part of it has other shapes than here, or another vocabulary.
    """
    folder = experiment.config["train"]["start_from"]
    try:
        other = restore_run(folder, checkpoint)
    except UserError as error:
        raise UserError(f"train.start_from cannot be used: {error}") from error
    mine, theirs = experiment.spec.vocabulary, other.spec.vocabulary
    if mine != theirs:
        raise UserError(
            f"train.start_from: the run in '{folder}' has another vocabulary ({len(theirs)} words, {len(mine)} here): "
            "its parameters belong to other words. Give a run on the same text with the same data.sequence settings."
        )
    here = dict(zip(("params", "extra"), jax.eval_shape(experiment.objective.init, jax.random.key(0)), strict=True))
    there = {"extra": {}, **other.weights}
    if flatten(shapes(here["extra"])).keys() != flatten(shapes(there["extra"])).keys():
        there = {"params": {**there["params"], "model": other.params}, "extra": {}}
    weights, anew = {}, []
    for kind, groups in here.items():
        weights[kind] = {}
        for group, parts in groups.items():
            weights[kind][group] = taken = _common(group, parts, there[kind].get(group, {}), folder)
            anew += [f"{group}.{part}" for part in parts if part not in taken]
    note = f"Starts from the run in '{folder}', step {other.step}{'; anew: ' if anew else ''}{', '.join(anew)}."
    return weights, other.step, note


def _common(group: str, here: Tree, there: Tree, folder: str) -> Tree:
    """The parts of a group `{part: tree}` that are here and there, as they are there.

    Raises:
      UserError: one of them has other shapes.
    """
    here, there = ({part: tree[part] for part in here if part in there} for tree in (here, there))
    new, old = flatten({group: shapes(here)}), flatten({group: shapes(there)})
    differing = [key for key in (new | old) if new.get(key) != old.get(key)]
    if differing:
        key = differing[0]
        sizes = ["{} {}".format(*each[key]) if key in each else "missing" for each in (old, new)]
        raise UserError(
            f"train.start_from: the run in '{folder}' has another network: {key} is {sizes[0]} there and {sizes[1]} "
            f"here ({len(differing)} arrays differ). Give a run with the same model and network settings, on data of "
            "the same shape."
        )
    return there


def check_data(info: Mapping[str, Any], checksum: int, workdir: Path) -> None:
    """Raise UserError where a run was trained on other data than is here now, or does not say on which."""
    if "data_checksum" not in info:
        raise UserError(
            f"A checkpoint of the run in '{workdir}' lacks the checksum of its training data. Nothing was changed "
            "there. Restore the folder from a copy, or give another --workdir."
        )
    if info["data_checksum"] != checksum:
        raise UserError(
            f"The training data is not the one that the run in '{workdir}' has seen so far: its values, its labels or "
            "its size changed. Nothing was changed there. Give the former data, or another --workdir."
        )
