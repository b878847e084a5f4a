"""Create the initial training state: from the newest checkpoint, a warm start, or random initialisation."""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from jaxvae.common.errors import UserError
from jaxvae.common.types import Tree
from jaxvae.data.columns import describe_columns
from jaxvae.data.load import checksum
from jaxvae.data.split import Split
from jaxvae.data.stored import spec_of
from jaxvae.experiment.plain import flatten
from jaxvae.experiment.setup import Experiment
from jaxvae.models.two_stage import FIRST
from jaxvae.runs.checkpoint_reader import difference, shapes
from jaxvae.runs.feature_weights import feature_weights
from jaxvae.runs.restore import restore_run
from jaxvae.train import sharding
from jaxvae.train.state import TrainState, init_state, join_state, split_state, stream


def start(
    experiment: Experiment,
    optimizer: optax.GradientTransformation,
    checkpoints: Any,
    workdir: Path | None,
    first_stage: Callable[[], dict[str, Tree]] | None = None,
    fixed: dict[str, Tree] | None = None,
) -> tuple[TrainState, int, dict[str, Any]]:
    """Load the newest checkpoint, or else initialise the state; return `(state, step, info of the checkpoint)`.

    Without a checkpoint the run starts from the weights that `first_stage` returns, where there is one, and `fixed`,
    those of `fixed_weights` where they are loaded already.

    Raises:
      UserError: the run was trained on other data so far; or see `other_weights`.
    """

    def check(info: dict[str, Any]) -> None:
        check_data(info, experiment, workdir)

    seed = experiment.config["seed"]
    init = partial(init_state, experiment.objective, optimizer)
    template = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), jax.eval_shape(init, jax.random.key(seed)))
    # Migration: checkpoints of the first version lack the key, which follows from the seed.
    template = template._replace(key=np.asarray(jax.random.key_data(stream(seed, "train"))))
    found = checkpoints.restore_latest(*split_state(template), check)
    if found is not None:
        step, weights, rest, info = found
        return join_state(weights, rest), step, info
    fixed = fixed_weights(experiment) if fixed is None else fixed
    given: dict[str, Any] = {"extra": fixed}
    if first_stage is not None:
        given = first_stage()
        given = {**given, "extra": {**given.get("extra", {}), **fixed}}
    elif experiment.config["train"]["start_from"]:
        found, step, note = other_weights(experiment)
        agreed = sharding.agree(step)
        if agreed != step:  # the other run is still training, so the best checkpoint differs between hosts
            found, _, note = other_weights(experiment, str(agreed))
        given = {**given, **found, "extra": {**found["extra"], **given.get("extra", {})}}
        if jax.process_index() == 0:
            print(note, file=sys.stderr)
    return jax.jit(init)(jax.random.key(seed), given), 0, {}


def fixed_weights(experiment: Experiment) -> dict[str, Tree]:
    """Load the parameters that no gradient changes, of a first stage and of a feature network, on the host.

    Raises:
      UserError: see `stage_weights` and `feature_weights`.
    """
    first = {FIRST: stage_weights(experiment)} if experiment.config["stage_of"] else {}
    return {**first, **feature_weights(experiment)}


def stage_weights(experiment: Experiment) -> Tree:
    """Load the parameters of the first stage `stage_of`, on the host.

    Raises:
      UserError: the run does not exist, was trained on other data, or its model has another layout.
    """
    folder = experiment.config["stage_of"]
    try:
        first = restore_run(folder)
    except UserError as error:
        raise UserError(f"stage_of cannot be used: {error}") from error
    there, here = first.info.get("x_checksum"), x_checksum(experiment)
    if there is not None and there != here:
        raise UserError(
            f"stage_of: the run in '{folder}' was trained on other examples (checksum {there:08x}, here {here:08x}), "
            "though the settings of the data are the same. Give it the data of this run, or this run that data."
        )
    mine = jax.eval_shape(experiment.objective.init, jax.random.key(0))[1][FIRST]
    if differing := difference({FIRST: shapes(mine)}, {FIRST: shapes(first.params)}):
        raise UserError(
            f"stage_of: the run in '{folder}' has another layout of parameters: {differing}. Train it again."
        )
    return first.params


def x_checksum(experiment: Experiment) -> int:
    """Return the checksum of the training examples alone, without labels and context."""
    return checksum(Split(experiment.dataset.train.x), experiment.dataset.vocabulary)


def other_weights(experiment: Experiment, checkpoint: str = "best") -> tuple[dict[str, Tree], int, str]:
    """Load the warm-start weights of `train.start_from`: `(weights, step of the other run, message)`.

    The weights are the parts that both runs have, `{"params": {group: {part: tree}}, "extra": ...}`. Where the extra
    state of the two runs differs in structure (spectral normalisation in one alone, say), the other run's effective
    model parameters are loaded.

    Raises:
      UserError: the other run does not exist, or differs in vocabulary or in the shapes of a shared part.
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
    note = f"Starts from the run in '{folder}', step {other.step}{'; new: ' if anew else ''}{', '.join(anew)}."
    return weights, other.step, note


def _common(group: str, here: Tree, there: Tree, folder: str) -> Tree:
    """Return the other run's parts of a group `{part: tree}` that both runs have.

    Raises:
      UserError: the shapes of one of them differ.
    """
    here, there = ({part: tree[part] for part in here if part in there} for tree in (here, there))
    if differing := difference({group: shapes(here)}, {group: shapes(there)}):
        raise UserError(
            f"train.start_from: the run in '{folder}' has another network: {differing}. Give a run with the same model "
            "and network settings, on data of the same shape."
        )
    return there


def check_data(info: Mapping[str, Any], experiment: Experiment, workdir: Path | None) -> None:
    """Check the current training data against the info of a checkpoint; `workdir` is None in memory.

    Raises:
      UserError: the run was trained on other data (the columns of a table that changed are named), or lacks the
        checksum of its data.
    """
    which = "This run" if workdir is None else f"The run in '{workdir}'"
    if "data_checksum" not in info:
        raise UserError(
            f"{which} lacks the checksum of its training data in a checkpoint. Nothing was changed there. Restore the "
            "folder from a copy, or give another --workdir."
        )
    before, now = describe_columns(spec_of(info).table), describe_columns(experiment.spec.table)
    if changed := sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name)):
        listed = "; ".join(
            f"'{name}' was {before.get(name, 'not there')}, now {now.get(name, 'missing')}" for name in changed[:5]
        )
        raise UserError(
            f"{which} was trained on a table with other columns: {listed}{' ...' if len(changed) > 5 else ''}. Nothing "
            "was changed there. Give the former table, or another --workdir."
        )
    if info["data_checksum"] != experiment.data_checksum:
        raise UserError(
            f"{which} was trained on other data so far: its values, its labels or its size changed. Nothing was "
            "changed there. Give the former data (--config.data.path=..., or jaxvae.load(folder, data=...) in Python), "
            "or another --workdir."
        )
