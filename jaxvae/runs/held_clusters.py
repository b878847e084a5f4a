"""Stages of a run between its autoencoder and itself, `train.cluster_epochs`: examples are held in clusters.

Each of `train.cluster_rounds` stages holds every training example in a component of the prior, that of its cluster
among the codes of the stage before. So components take the groups that neighbours form, and codes of a group move
together, which makes the clusters of the next round clearer.
"""

from typing import Any

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.data.load import checksum
from jaxvae.data.split import Dataset
from jaxvae.experiment import build
from jaxvae.experiment.objects import with_objects
from jaxvae.experiment.parts import PARTS, holds_components
from jaxvae.experiment.setup import Experiment, built
from jaxvae.latent.manifold import LEAST_CODES, manifold_clusters
from jaxvae.models.clusters import num_clusters
from jaxvae.objectives.clusters import HOLDING
from jaxvae.runs.pretraining import ALONE, seed_of
from jaxvae.runs.trained_run import TrainedRun

NAME = "clusters"  # of their folders in that of the run, with the number of the round


def check(experiment: Experiment) -> None:
    """Raise UserError where a run asks for these stages, and lacks what it needs."""
    train, objective = experiment.config["train"], experiment.config["objective"]["name"]
    epochs = train["cluster_epochs"]
    if not epochs:
        return
    if not train["pretrain_epochs"]:
        raise UserError(
            f"train.cluster_epochs is {epochs}, but there is no autoencoder whose codes have clusters: set "
            "train.pretrain_epochs, or train.cluster_epochs=0."
        )
    if not holds_components(objective):
        able = [name for name in PARTS["objective"] if holds_components(name)]
        raise UserError(
            f"train.cluster_epochs is {epochs}, but the objective '{objective}' has no clusters to hold. Those that "
            f"have, of the prior's components: {', '.join(able)}. Take one of them, or train.cluster_epochs=0."
        )
    num, size = num_clusters(experiment.model), len(experiment.dataset.train.x)
    if size < LEAST_CODES * num:
        raise UserError(
            f"train.cluster_epochs is {epochs}, and {num} clusters by neighbours need {LEAST_CODES * num} training "
            f"examples or more; there are {size}. Take a smaller model.prior.components, or train.cluster_epochs=0."
        )
    if num < 2 or experiment.spec.label_position is not None:
        what = "data.context has the label, so that its classes are known" if num > 1 else "the prior has one component"
        raise UserError(
            f"train.cluster_epochs is {epochs}, but {what}: there are no clusters to find. Set train.cluster_epochs=0."
        )
    if experiment.config["objective"].get(HOLDING):
        raise UserError(
            f"train.cluster_epochs is {epochs}, and objective.{HOLDING} is True: the components of the prior would be "
            f"clusters first, and classes then. Set objective.{HOLDING}=False, or train.cluster_epochs=0."
        )
    held = _held(experiment)
    try:
        build.optimizer(with_objects(held.config, held.objects), held.objective, held.total_steps)
    except UserError as error:
        raise UserError(
            f"The {held.total_steps} steps of train.cluster_epochs={epochs} cannot be trained: {error}"
        ) from error


def clusters_of(experiment: Experiment, before: TrainedRun) -> np.ndarray:
    """Assign each training example to a cluster by its code in the stage before, `[N]`; see `manifold_clusters`.

    Raises:
      UserError: the codes collapsed.
    """
    codes = before.codes("train")
    decoded = codes[:, : codes.shape[1] - experiment.model.noise_dim]
    return manifold_clusters(decoded, num_clusters(experiment.model), seed_of(before, NAME))


def stage_of(experiment: Experiment, clusters: np.ndarray) -> Experiment:
    """Return the same run with the `clusters` `[N]` as the labels of the training examples."""
    dataset = _labelled(experiment.dataset, clusters)
    return _held(experiment)._replace(dataset=dataset, data_checksum=checksum(dataset.train, dataset.vocabulary))


def _held(experiment: Experiment) -> Experiment:
    """Return the stage with the data as it was."""
    config = experiment.config
    epochs, num = config["train"]["cluster_epochs"], num_clusters(experiment.model)
    changed: dict[str, Any] = {
        **config,
        "name": f"{config['name']}-{NAME}",
        "objective": {**config["objective"], HOLDING: True},
        "train": {**config["train"], **ALONE, "num_epochs": epochs, "start_from": ""},
        "evaluate": {**config["evaluate"], "checkpoint": "last"},
    }
    spec = experiment.spec._replace(labels=tuple(range(num)), labelled=1.0, class_names=())
    total_steps = experiment.total_steps // config["train"]["num_epochs"] * epochs
    model, objective = built(changed, spec, experiment.objects, total_steps)
    return experiment._replace(config=changed, model=model, objective=objective, total_steps=total_steps, spec=spec)


def _labelled(dataset: Dataset, clusters: np.ndarray) -> Dataset:
    """Return the data with the clusters as the labels of the training set; the classes of the others are unknown."""
    train = dataset.train._replace(label=clusters)
    others = {name: getattr(dataset, name)._replace(label=None) for name in ("validation", "test")}
    return dataset._replace(train=train, class_names=(), **others)
