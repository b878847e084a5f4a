"""`train.cluster_epochs`: a run whose examples are held in clusters of an autoencoder's codes at first."""

import contextlib
import shutil
import time
from typing import Any

import jax
import numpy as np
import pytest

import jaxvae
import launch
from jaxvae.experiment.plain import flatten, load_config
from jaxvae.metrics.clusters import agreement
from jaxvae.models.clusters import cluster_log_probs
from jaxvae.runs.checkpoint_reader import Reader
from jaxvae.runs.restore import restore_run

SMALL = (
    "--config.train.num_epochs=2", "--config.train.pretrain_epochs=4", "--config.train.cluster_epochs=2",
    "--config.train.cluster_rounds=2", "--config.train.eval_every_epochs=2", "--config.network.hidden=(30,)",
    "--config.model.latent_dim=3", "--config.evaluate.report=False", "--config.figures.draw=False",
    "--config.evaluate.metrics=", "--config.evaluate.nll_samples=2",
)  # fmt: skip


def trains(workdir, *more):
    argv = ["launch.py", "--config=configs/vade.py", f"--workdir={workdir}", *SMALL, *more]
    return launch.main(argv, time.time())


def weights(workdir, which):
    with contextlib.closing(Reader(workdir / "checkpoints")) as reader:
        return flatten(reader.weights(which)[1])


def steps(workdir):
    return sorted(int(path.name) for path in (workdir / "checkpoints").iterdir())


def same(found, expected):
    assert found.keys() == expected.keys()
    return all(np.array_equal(found[key], value) for key, value in expected.items())


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
    assert [config["train"][f"{name}_epochs"] for name in ("num", "pretrain", "cluster")] == [2, 0, 0]
    assert "use_labels" not in load_config(trained)["objective"]


def test_the_components_start_at_the_moments_of_clusters_and_keep_their_examples(trained):
    """In the codes of the autoencoder a component has the mean of the examples that it holds; they stay with it."""
    x = jaxvae.data.load_data(load_config(trained)["data"]).train.x / np.float32(16)
    start = restore_run(trained / "clusters-2", "0")
    codes = np.asarray(start.model.encode(start.params, x).mean)
    prior = start.params["prior"]
    shares = np.exp(prior["logits"]) / np.exp(prior["logits"]).sum()
    np.testing.assert_allclose(shares @ prior["mean"], codes.mean(axis=0), rtol=1e-4, atol=1e-5)
    second = shares @ (np.exp(prior["logvar"]) + prior["mean"] ** 2)
    np.testing.assert_allclose(second, (codes**2).mean(axis=0), rtol=1e-4)  # the law of total variance
    clusters = []
    for which in ("0", "last"):
        run = restore_run(trained / "clusters-2", which)
        clusters.append(
            np.asarray(jax.jit(cluster_log_probs, static_argnums=0)(run.model, run.params, {"x": x})).argmax(1)
        )
    assert agreement(clusters[1], clusters[0])["accuracy"] > 0.8


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
        (("--config.objective.use_labels=True",), "clusters first, and classes then"),
        (("--config.train.cluster_rounds=0",), "train.cluster_rounds is 0"),
        (("--config.train.cluster_epochs=-1",), "train.cluster_epochs is -1"),
    ],
)
def test_what_is_refused_before_training(workdir, refused, more, told):
    assert told in refused("--config=configs/vade.py", *SMALL, *more)
    assert not workdir.exists()
