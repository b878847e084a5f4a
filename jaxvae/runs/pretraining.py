"""First stage of a run, `train.pretrain_epochs`: an autoencoder, to whose codes the prior is fitted.

With `train.cluster_epochs` others follow, see `held_clusters`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.types import Tree
from jaxvae.experiment.defaults import SETTINGS
from jaxvae.experiment.parts import PARTS, holds_components, part
from jaxvae.experiment.setup import Experiment, built
from jaxvae.models.facts import Labels
from jaxvae.objectives.clusters import HOLDING
from jaxvae.runs.trained_run import TrainedRun

NAME = "pretrain"  # of its folder in that of the run
MOST_CODES = 100_000  # random training examples for the fit of the prior; more change little and cost much
REPLACED = ("objective", "kl")  # parts of the stage that are not those of the run
PRIOR = "model.prior"
# Settings of any stage: it has no stages itself, and trains to its last epoch.
ALONE = {"pretrain_epochs": 0, "cluster_epochs": 0, "cluster_rounds": 1, "select": "loss", "patience": 0}


def stage_of(experiment: Experiment) -> Experiment | None:
    """Return the first stage of a run: the same model and data as an autoencoder; None where it has no such stage.

    Its prior is not used, and frozen. It decodes the centre of q(z|x) (Jiang et al. 2017, arXiv:1611.05148).

    Raises:
      UserError: the run is a second stage, its prior cannot be fitted to codes, or labels in the context are not all
        known.
    """
    config = experiment.config
    epochs = config["train"]["pretrain_epochs"]
    if not epochs:
        return None
    if experiment.model.stages:
        raise UserError(
            f"train.pretrain_epochs is {epochs}, but stage_of names the first stage of this run already, "
            f"'{config['stage_of']}'. Set train.pretrain_epochs=0, or leave stage_of empty."
        )
    if experiment.model.fit_prior is None:
        able = ", ".join(name for name in PARTS["prior"] if _is_fitted(name))
        raise UserError(
            f"train.pretrain_epochs is {epochs}, but the prior '{config['model']['prior']['name']}' cannot be fitted "
            f"to the codes of an autoencoder{' at each context' if config['context']['prior'] else ''}. Priors that "
            f"can, without a context: {able}. Take one of them, or train.pretrain_epochs=0."
        )
    if experiment.spec.has_unknown_classes:
        raise UserError(
            f"train.pretrain_epochs is {epochs}, but data.context has the label, which an autoencoder needs for every "
            f"training example, and {experiment.spec.labelled:.2%} have one. Set train.pretrain_epochs=0."
        )
    masking = config["train"]["pretrain_masking"]
    how = {"name": "denoising", "noise": "masking", "level": masking} if masking else {"name": "reconstruction"}
    changed: dict[str, Any] = {
        **config,
        "name": f"{config['name']}-{NAME}",
        "objective": {**how, "at_centre": True},
        "kl": dict(SETTINGS["kl"].default),
        "optimizer": {**config["optimizer"], "groups": {}},
        "train": {
            **config["train"], **ALONE, "num_epochs": epochs, "labelled_share": 0.0, "freeze": (PRIOR,),
        },
        "evaluate": {**config["evaluate"], "checkpoint": "best"},
    }  # fmt: skip
    objects = {
        path: each for path, each in experiment.objects.items()
        if path not in REPLACED and not path.startswith("optimizer.groups")
    }  # fmt: skip
    total_steps = experiment.total_steps // config["train"]["num_epochs"] * epochs
    model, objective = built(changed, experiment.spec, objects, total_steps)
    return experiment._replace(
        config=changed, model=model, objective=objective, total_steps=total_steps, objects=objects
    )  # fmt: skip


def weights_after(stage: TrainedRun, experiment: Experiment, clusters: np.ndarray | None = None) -> dict[str, Tree]:
    """Return the weights with which a run starts after its stage, `{"params": {group: {part: tree}}, "extra": ...}`.

    They are those of the stage, and a prior fitted to its codes of the training data, or to those of each of the
    `clusters` `[N]`; -1 belongs to none. With `objective.use_labels` the classes are these clusters.

    Raises:
      UserError: the codes collapsed.
    """
    assert experiment.model.fit_prior is not None  # `stage_of` has checked it
    clusters = _classes(experiment) if clusters is None else clusters
    rows = stage.some("train", MOST_CODES) if clusters is None else np.flatnonzero(clusters >= 0)
    found = () if clusters is None else (clusters[rows],)
    prior = experiment.model.fit_prior(stage.codes("train")[rows], seed_of(stage, "prior"), *found)
    weights = stage.restored.weights
    return {**weights, "params": {"model": {**weights["params"]["model"], "prior": prior}}}


def _classes(experiment: Experiment) -> np.ndarray | None:
    """Return the number of each training example's class, `[N]`, where the objective has components for them."""
    label, objective = experiment.dataset.train.label, experiment.config["objective"]
    if label is None or not holds_components(objective["name"]) or not objective.get(HOLDING):
        return None
    return np.asarray(Labels(experiment.spec.classes).index(jnp.asarray(label)))


def seed_of(stage: TrainedRun, name: str) -> int:
    """Return the seed of what follows a stage, by its name."""
    return int(jax.random.randint(stage.key(name), (), 0, 2**31 - 1))


def _is_fitted(name: str) -> bool:
    given = {"latent_dim": 20, "num_codes": 2, "data_shape": (1,), "pixel_range": (0.0, 1.0)}
    try:
        return part("prior", {"name": name}, given)().fit is not None
    except (UserError, TypeError):  # it needs a context
        return False
