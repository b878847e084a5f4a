"""`train.cluster_epochs`: a run whose examples are held in clusters of an autoencoder's codes at first."""

import shutil
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from stage_tools import same, steps, trains_vade, weights

import jaxvae
from configs import gmvae
from jaxvae.experiment.plain import flatten, load_config
from jaxvae.experiment.setup import setup
from jaxvae.models.clusters import cluster_log_probs
from jaxvae.runs import held_clusters, pretraining
from jaxvae.runs.restore import restore_run
from jaxvae.runs.trained_run import TrainedRun

SMALL = (
    "--config.train.num_epochs=2", "--config.train.pretrain_epochs=4", "--config.train.cluster_epochs=2",
    "--config.train.cluster_rounds=2", "--config.train.eval_every_epochs=2", "--config.network.hidden=(30,)",
    "--config.model.latent_dim=3", "--config.evaluate.report=False", "--config.figures.draw=False",
    "--config.evaluate.metrics=", "--config.evaluate.nll_samples=2",
)  # fmt: skip


def trains(workdir, *more):
    return trains_vade(workdir, *SMALL, *more)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "vade"
    assert trains(workdir) == 0
    return workdir


@pytest.fixture
def copy(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "copy")
    return tmp_path / "copy"


def test_each_stage_starts_where_the_one_before_ended(trained):
    ends = [weights(trained / "pretrain", "best"), *(weights(trained / f"clusters-{i}", "last") for i in (1, 2))]
    starts = [weights(trained / f"clusters-{i}", "0") for i in (1, 2)]
    for start, end in zip(starts, ends, strict=False):  # with a new prior for the new clusters
        assert same(*({key: value for key, value in each.items() if ".prior." not in key} for each in (start, end)))
        assert not np.array_equal(start["params.model.prior.mean"], end["params.model.prior.mean"])
    assert same(weights(trained, "0"), ends[2])
    assert not same(ends[2], starts[1])
    config = load_config(trained / "clusters-2")
    assert config["objective"]["use_labels"] is True
    assert config["evaluate"]["checkpoint"] == "last"  # losses of other clusters do not tell which is best
    assert [config["train"][f"{name}_epochs"] for name in ("num", "pretrain", "cluster")] == [2, 0, 0]
    assert "use_labels" not in load_config(trained)["objective"]


def means_of(codes, classes):
    return np.stack([codes[classes == each].mean(axis=0) for each in np.unique(classes)])


def test_the_components_start_at_the_means_of_clusters_and_keep_their_examples(trained):
    experiment = setup(load_config(trained))
    stage = pretraining.stage_of(experiment)
    assert stage is not None
    x = experiment.dataset.train.x / np.float32(16)
    clusters = np.load(trained / "clusters-1.npy")
    again = held_clusters.clusters_of(experiment, TrainedRun(stage, restore_run(trained / "pretrain")))
    np.testing.assert_array_equal(clusters, again)
    held = held_clusters.stage_of(experiment, clusters)
    assert held.dataset.validation.label is None  # these are classes, not clusters
    np.testing.assert_array_equal(held.dataset.train.label, clusters)
    first = restore_run(trained / "clusters-1", "0")
    codes = np.asarray(first.model.encode(first.params, x).mean)
    np.testing.assert_allclose(first.params["prior"]["mean"], means_of(codes, clusters), rtol=1e-4, atol=1e-5)
    after = restore_run(trained / "clusters-1", "last")
    found = np.asarray(cluster_log_probs(after.model, after.params, {"x": x})).argmax(axis=1)
    assert np.mean(found == clusters) > 0.6


def test_known_classes_start_the_components_and_leave_the_others_out(workdir):
    known = ("--config.objective.use_labels=True", "--config.data.labels=50", "--config.train.cluster_epochs=0")
    assert trains(workdir, *known) == 0
    train = setup(load_config(workdir)).dataset.train
    assert train.label is not None
    start = restore_run(workdir, "0")
    codes = np.asarray(start.model.encode(start.params, train.x / np.float32(16)).mean)
    rows = train.label >= 0
    assert rows.sum() == 50
    expected = means_of(codes[rows], train.label[rows])
    np.testing.assert_allclose(start.params["prior"]["mean"], expected, rtol=1e-4, atol=1e-5)


def test_clusters_are_of_what_the_decoder_gets(monkeypatch):
    """The latent of a nested mixture ends in noise, which is the same in all components."""
    experiment = setup({**gmvae.get_config().to_dict(), "name": "it"})
    noise, (size,) = experiment.model.noise_dim, experiment.model.latent_shape
    before = SimpleNamespace(codes=lambda split: np.tile(np.arange(size), (50, 1)))
    monkeypatch.setattr(held_clusters, "seed_of", lambda stage, name: 0)
    monkeypatch.setattr(held_clusters, "manifold_clusters", lambda codes, num, seed: codes)
    found = held_clusters.clusters_of(experiment, before)
    assert 0 < noise < size
    np.testing.assert_array_equal(found[0], np.arange(size - noise))


def test_a_resumed_run_does_not_find_its_clusters_again(copy, monkeypatch):
    """On another machine the map could differ in its last bits, and the stage would have other data."""
    shutil.rmtree(copy / "checkpoints")
    shutil.rmtree(copy / "clusters-2" / "checkpoints")
    monkeypatch.delattr(held_clusters, "manifold_clusters")
    assert trains(copy) == 0


def test_a_run_in_memory_has_the_same_stages(trained):
    settings = {"train.num_epochs": 2, "train.pretrain_epochs": 4, "train.cluster_epochs": 2, "train.cluster_rounds": 2}
    settings |= {"network.hidden": (30,), "model.latent_dim": 3, "figures.draw": False, "evaluate.metrics": ""}
    run = jaxvae.fit("vade", settings={**settings, "train.eval_every_epochs": 2}, progress=False)
    expected = weights(trained, "last")
    for name, array in flatten({"params": {"model": run.params}}).items():
        np.testing.assert_array_equal(array, expected[name])


SLOW = [pytest.param(left, marks=pytest.mark.slow) for left in ("a part of the last stage", "a part of the rounds")]


@pytest.mark.parametrize("left", ["all stages", *SLOW])
def test_a_run_that_was_killed_ends_with_the_same_bits(trained, copy, left):
    """Its folder is as a kill leaves it: before the first checkpoint of the run, or in its stages."""
    shutil.rmtree(copy / "checkpoints")
    if left == "a part of the last stage":
        for step in steps(copy / "clusters-2")[1:]:
            shutil.rmtree(copy / "clusters-2" / "checkpoints" / str(step))
    if left == "a part of the rounds":
        shutil.rmtree(copy / "clusters-2")
    (copy / "results.json").unlink()
    assert trains(copy) == 0
    for part in ("", "clusters-2", "clusters-1", "pretrain"):
        assert steps(copy / part) == steps(trained / part)
        assert same(weights(copy / part, "last"), weights(trained / part, "last"))


def test_labels_of_the_data_are_not_used(trained, workdir):
    """The clusters come from codes alone: with other labels every bit is the same."""
    labels = ("--config.data.labels=20", "--config.data.labels_seed=3")
    assert trains(workdir, *labels) == 0
    assert same(weights(workdir, "last"), weights(trained, "last"))


@pytest.mark.slow
def test_only_the_part_of_z_that_is_decoded_has_clusters(workdir):
    nested = ("--config.model.prior=nested_mixture", "--config.model.prior.noise_dim=2", "--config.objective=gmvae")
    assert trains(workdir, *nested, "--config.model.latent_dim=5") == 0
    start: dict[str, Any] = weights(workdir / "clusters-1", "0")
    assert start["params.model.prior.mean"].shape == (10, 3)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--config.train.pretrain_epochs=0",), "cluster_epochs is 2, but there is no autoencoder"),
        (("--config.objective=elbo", "--config.objective.kl_estimate=monte_carlo"), "'elbo' has no clusters to hold"),
        (("--config.data.context=label",), "data.context has the label, so that its classes are known"),
        (("--config.model.prior.components=1",), "the prior has one component"),
        (("--config.model.prior.components=500",), "500 clusters by neighbours need 1500 training examples"),
        (
            ("--config.optimizer.warmup_steps=25", "--config.train.num_epochs=4"),
            "The 20 steps of train.cluster_epochs=2 cannot be trained: optimizer.warmup_steps is 25",
        ),
        (("--config.objective.use_labels=True",), "clusters first, and classes then"),
        (("--config.train.cluster_rounds=0",), "train.cluster_rounds is 0"),
        (("--config.train.cluster_epochs=-1",), "train.cluster_epochs is -1"),
    ],
)
def test_what_is_refused_before_training(workdir, refused, more, told):
    assert told in refused("--config=configs/vade.py", *SMALL, *more)
    assert not workdir.exists()
