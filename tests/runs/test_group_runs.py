"""Runs with two groups of parameters, settings of one of them, and a frozen part."""

import shutil
import time

import jax
import numpy as np
import pytest
from numerics_tools import assert_same, launched, rows_of

import launch
from jaxvae.runs.restore import restore_run

SETTINGS = (
    "objective=group_tools:with_critic", "train.num_epochs=2", "train.freeze=model.encoder", "optimizer.skip_norm=1e6",
    "optimizer.groups.critic=sgd", "optimizer.groups.critic.learning_rate=1e-4", "optimizer.groups.critic.every=3",
    "optimizer.groups.critic.ema_decay=0.5", "optimizer.groups.critic.schedule=cosine", "evaluate.metrics=",
)  # fmt: skip


ADVERSARIAL = (
    "objective=vae_gan", "objective.discriminator.hidden=(8,)", "objective.discriminator.spectral_norm=True",
    "train.num_epochs=2", "optimizer.groups.discriminator.every=3",
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("groups") / "run"
    launched(workdir, *SETTINGS)
    return workdir


@pytest.mark.slow
def test_groups_train_by_their_own_settings_and_frozen_parts_stay(whole):
    first, last = (restore_run(whole, step).weights["params"] for step in ("10", "20"))
    assert_same(first["model"]["encoder"], last["model"]["encoder"])
    assert np.any(first["model"]["decoder"]["Dense_0"]["kernel"] != last["model"]["decoder"]["Dense_0"]["kernel"])
    assert np.any(first["critic"]["kernel"] != last["critic"]["kernel"])
    (row, *_) = rows_of(whole, "train")
    assert (row["skipped_model"], row["skipped_critic"]) == (0, 0)
    assert row["error"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("settings", [SETTINGS, ADVERSARIAL], ids=["groups", "discriminator"])
def test_a_run_with_groups_goes_on_to_the_same_bits(settings, request, tmp_path):
    """The checkpoint of step 10 is within a cadence of 3."""
    before, resumed = tmp_path / "whole", tmp_path / "run"
    if settings is SETTINGS:
        before = request.getfixturevalue("whole")
    else:
        launched(before, *settings)
    shutil.copytree(before, resumed)
    shutil.rmtree(resumed / "checkpoints" / "20")
    launched(resumed, *settings)
    infos = [restore_run(workdir, "20").info["checksums"] for workdir in (before, resumed)]
    assert infos[0] == infos[1]


@pytest.mark.slow
def test_a_discriminator_that_explodes_keeps_the_last_good_state(workdir, capsys):
    """Its first step, in the second epoch, overflows."""
    explodes = ("optimizer.groups.discriminator=sgd", "optimizer.groups.discriminator.learning_rate=1e38",
                "optimizer.groups.discriminator.every=12", "objective.loss=wasserstein")  # fmt: skip
    settings = ("network.hidden=(8,)", *ADVERSARIAL[:4], *explodes, "train.eval_every_epochs=1", "figures.draw=False")
    argv = ["launch.py", "--config=configs/vae.py", f"--workdir={workdir}", *(f"--config.{each}" for each in settings)]
    assert launch.main(argv, time.time()) == 2
    assert "The last good checkpoint is kept" in capsys.readouterr().err
    weights = restore_run(workdir, "10").weights["params"]
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(weights))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["train.freeze=model.encodr"], "train.freeze: Unknown part of the parameters 'model.encodr'. Did you mean"),
        (["train.freeze=model"], "freezes every parameter"),
        (
            ["objective=group_tools:without_loss"],
            "has the groups of parameters ['critic', 'model'], but losses of ['model']",
        ),
        (["optimizer.groups.critic.every=5"], "optimizer.groups: Unknown group of parameters 'critic'. Known: model"),
        (["optimizer.groups.model.every=x"], "optimizer.groups.model.every is 'x'; it must be of type int"),
        (["optimizer.groups.model.every.x=1"], "Unknown config key 'optimizer.groups.model.every.x'"),
        (["optimizer.groups.model.b3=1.0"], "Unknown option 'b3' of the optimizer 'adam'"),
        (["optimizer.groups=5"], "Unknown config key 'optimizer.groups'"),
    ],
)
def test_groups_and_parts_that_do_not_exist_are_refused(settings, said, refused, workdir):
    assert said in refused("--config=configs/vae.py", *(f"--config.{setting}" for setting in settings))
    assert not workdir.exists()
