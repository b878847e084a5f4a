"""Stages of a run between its autoencoder and itself, `train.cluster_epochs`: examples are held in clusters.

Each of `train.cluster_rounds` stages holds every training example in a component of the prior, that of its cluster
among the codes of the stage before. So components take the groups that neighbours form, and codes of a group move
together, which makes the clusters of the next round clearer.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.types import Tree
from jaxvae.data.few_labels import facts_of_labels
from jaxvae.data.load import checksum
from jaxvae.data.split import Dataset
from jaxvae.experiment.parts import PARTS
from jaxvae.experiment.setup import Experiment, built
from jaxvae.latent.manifold import LEAST_CODES, manifold_clusters
from jaxvae.models.clusters import num_clusters
from jaxvae.runs.pretraining import seed_of, weights_after
from jaxvae.runs.trained_run import TrainedRun

NAME = "clusters"  # of their folders in that of the run, with the number of the round
OPTION = "use_labels"  # of the objectives that know components by the label


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
    able = [name for name in PARTS["objective"] if _takes_clusters(name)]
    if objective not in able:
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
    if experiment.config["objective"].get(OPTION):
        raise UserError(
            f"train.cluster_epochs is {epochs}, and objective.{OPTION} is True: the components of the prior would be "
            f"clusters first, and classes then. Set objective.{OPTION}=False, or train.cluster_epochs=0."
        )


def next_stage(experiment: Experiment, before: TrainedRun) -> tuple[Experiment, Callable[[], dict[str, Tree]]]:
    """Return the stage that holds the clusters of the codes of the stage before, and a function of its first weights.

    Raises:
      UserError: the codes collapsed.
    """
    codes = before.codes("train")
    decoded = codes[:, : codes.shape[1] - experiment.model.noise_dim]
    clusters = manifold_clusters(decoded, num_clusters(experiment.model), seed_of(before, NAME))
    return _held(experiment, clusters), partial(weights_after, before, experiment, clusters)


def _held(experiment: Experiment, clusters: np.ndarray) -> Experiment:
    """Return the same run with the `clusters` `[N]` as the labels of the training examples."""
    config = experiment.config
    epochs, num = config["train"]["cluster_epochs"], num_clusters(experiment.model)
    changed: dict[str, Any] = {
        **config,
        "name": f"{config['name']}-{NAME}",
        "objective": {**config["objective"], OPTION: True},
        "train": {
            **config["train"], "num_epochs": epochs, "pretrain_epochs": 0, "cluster_epochs": 0, "cluster_rounds": 1,
            "start_from": "", "select": "loss", "patience": 0,
        },
        "evaluate": {**config["evaluate"], "checkpoint": "last"},
    }  # fmt: skip
    dataset = _labelled(experiment.dataset, clusters)
    spec = experiment.spec._replace(**{**facts_of_labels(dataset), "labels": tuple(range(num))})
    total_steps = experiment.total_steps // config["train"]["num_epochs"] * epochs
    model, objective = built(changed, spec, experiment.objects, total_steps)
    return experiment._replace(
        config=changed, dataset=dataset, model=model, objective=objective, total_steps=total_steps, spec=spec,
        data_checksum=checksum(dataset.train, dataset.vocabulary),
    )  # fmt: skip


def _labelled(dataset: Dataset, clusters: np.ndarray) -> Dataset:
    """Return the data with the clusters as the labels of the training set; the classes of the others are unknown."""
    train = dataset.train._replace(label=clusters)
    others = {name: getattr(dataset, name)._replace(label=None) for name in ("validation", "test")}
    return dataset._replace(train=train, class_names=(), **others)


def _takes_clusters(objective: str) -> bool:
    takes = inspect.signature(PARTS["objective"][objective]).parameters
    return OPTION in takes and "kl" in takes  # a game of latents takes labels too, but has no q(c|x)
