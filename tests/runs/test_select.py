"""`train.select`: which validation metric marks the best checkpoint, and in which direction."""

import json
import time

import pytest

import launch
from jaxvae.runs.recorder import selected

SHORT = ("--config=configs/vae.py", "--config.train.num_epochs=6", "--config.train.eval_every_epochs=2",
         "--config.network.hidden=(16,)", "--config.evaluate.nll_samples=2", "--config.evaluate.report=False",
         "--config.figures.draw=False",
         "--config.evaluate.metrics=",         "--config.model.latent_dim=2")  # fmt: skip


@pytest.mark.parametrize(
    ("select", "pick"),
    [
        pytest.param("kl", min, marks=pytest.mark.slow),
        pytest.param("-kl", max, marks=pytest.mark.slow),
        pytest.param("loss", None, marks=pytest.mark.slow),
    ],
)
def test_the_best_checkpoint_has_the_least_value(workdir, select, pick):
    assert (
        launch.main(["launch.py", *SHORT, f"--config.train.select={select}", f"--workdir={workdir}"], time.time()) == 0
    )
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    validation = {row["step"]: row for row in rows if row["split"] == "validation"}
    metric = select.removeprefix("-")
    kl = [row["kl"] for row in validation.values()]
    assert kl.index(min(kl)) != kl.index(max(kl))  # so that its two directions differ
    wanted = (pick or min)(validation, key=lambda step: validation[step][metric])
    checkpoint = json.loads((workdir / "results.json").read_text())["checkpoint"]
    assert (checkpoint["step"], checkpoint["select"]) == (wanted, select)


def test_a_metric_that_is_not_reported_is_refused(refused, workdir):
    message = refused("--config=configs/vae.py", "--config.train.select=-accuracy")
    assert "train.select: Unknown metric of this objective 'accuracy'" in message
    assert all(name in message for name in ("elbo", "kl", "loss", "reconstruction"))
    assert not workdir.exists()


def test_a_score_that_is_not_finite_is_not_measured():
    assert selected("loss", {"loss": 3.0}) == 3.0
    assert selected("-elbo", {"elbo": -3.0}) == 3.0
    assert selected("loss", {"loss": float("nan")}) is None
    assert selected("loss", {}) is None
