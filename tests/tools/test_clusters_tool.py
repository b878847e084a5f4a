"""Clusters of a trained run: the metric, the tool on its own and on other data, the figure."""

import csv
import json
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import objective_tools
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import jaxvae
import launch
from jaxvae.common.errors import UserError
from jaxvae.metrics.clusters import agreement
from jaxvae.tools import TOOLS

SMALL = (
    "--config.train.num_epochs=2", "--config.train.pretrain_epochs=30", "--config.network.hidden=(30,)",
    "--config.model.latent_dim=3", "--config.evaluate.report=False", "--config.evaluate.metrics=clustering",
    "--config.evaluate.nll_samples=2", "--config.figures.draw=False",
)  # fmt: skip


def run(*argv):
    return launch.main(["launch.py", *argv], time.time())


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "vade"
    assert run("--config=configs/vade.py", f"--workdir={workdir}", *SMALL) == 0
    assert run(f"--workdir={workdir}", "--mode=tool", "--config.tool=clusters") == 0
    return workdir


@pytest.fixture(scope="module")
def assigned(workdir):
    with np.load(workdir / "tools" / "clusters.npz") as arrays:
        return dict(arrays)


def test_the_tool_and_the_metric_assign_the_same_clusters(workdir, assigned):
    probabilities = assigned["probabilities"]
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), assigned["cluster"])
    np.testing.assert_array_equal(probabilities.max(axis=1), assigned["probability"])
    found = json.loads((workdir / "results.json").read_text())["metrics"]["clustering"]
    mine = agreement(assigned["cluster"], load_digits().target[assigned["row"]])
    assert {name: found[name] for name in mine} == pytest.approx(mine, abs=1e-12)
    assert found["accuracy"] > 0.3  # of ten classes
    others = {f"k_means_{name}" for name in ("accuracy", "nmi", "ari", "silhouette")} | {f"gmm_{name}" for name in mine}
    assert found.keys() == {*mine} | others


def test_the_table_holds_the_same_with_the_labels(workdir, assigned):
    with (workdir / "tools" / "clusters.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["cluster"]) for row in rows] == assigned["cluster"].tolist()
    assert [int(row["label"]) for row in rows] == load_digits().target[assigned["row"]].tolist()
    table = np.array([[float(row[f"p{c}"]) for c in range(10)] for row in rows])
    np.testing.assert_allclose(table, assigned["probabilities"], rtol=1e-6)
    with Image.open(workdir / "tools" / "clusters.png") as image:
        assert np.asarray(image.convert("L")).std() > 5


def test_other_data_is_assigned_as_the_same_examples_are_in_the_test_set(workdir, assigned, tmp_path):
    rows = assigned["row"][:7]
    np.savez(tmp_path / "new.npz", x=load_digits().images[rows].astype(np.uint8))
    tool = (
        f"--workdir={workdir}",
        "--mode=tool",
        "--config.tool=clusters",
        f"--config.evaluate.data={tmp_path}/new.npz",
    )
    assert run(*tool) == 0
    (folder,) = (workdir / "other").iterdir()
    with np.load(folder / "tools" / "clusters.npz") as arrays:
        np.testing.assert_allclose(arrays["probabilities"], assigned["probabilities"][:7], rtol=1e-3, atol=1e-6)
        assert arrays["row"].tolist() == list(range(7))
    np.testing.assert_allclose(
        jaxvae.load(workdir).cluster(tmp_path / "new.npz"), assigned["probabilities"][:7], rtol=1e-3, atol=1e-6
    )
    assert "label" not in (folder / "tools" / "clusters.csv").read_text().splitlines()[0]


@pytest.mark.slow
def test_samples_are_drawn_by_cluster(workdir):
    assert run(f"--workdir={workdir}", "--mode=evaluate", "--config.figures.draw=True") == 0
    with Image.open(workdir / "figures" / "clusters.png") as image:
        assert np.asarray(image.convert("L")).std() > 5


def test_refusals():
    plain: Any = SimpleNamespace(model=objective_tools.small())
    with pytest.raises(UserError, match="The tool 'clusters' needs a prior that is a mixture"):
        TOOLS["clusters"](plain)
    with pytest.raises(UserError, match="Unknown split of the tool 'clusters' 'tets'"):
        TOOLS["clusters"](plain, split="tets")
    with pytest.raises(UserError, match="shown"):
        TOOLS["clusters"](plain, shown=0)
