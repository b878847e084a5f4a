"""A run of latent constraints: draws with a class from a VAE without classes, examples with another class, resume."""

import json
import time

import jax
import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from test_start_from import weights

import jaxvae
import launch
from jaxvae import UserError
from jaxvae.tools import find

SMALL = (
    "--config.network.hidden=(32,)", "--config.model.latent_dim=4", "--config.evaluate.report=False",
    "--config.figures.draw=False", "--config.evaluate.nll_samples=2", "--config.train.eval_every_epochs=100",
)  # fmt: skip


# Enough for nine of ten classes: the small VAE knows no fives.
VAE = "--config.optimizer.learning_rate=1e-2", "--config.train.num_epochs=40"
ACTOR = ("--config.objective.discriminator.hidden=(32,)", "--config.optimizer.learning_rate=1e-2",
         "--config.train.num_epochs=20")  # fmt: skip


def launched(*args):
    return launch.main(["launch.py", *args], time.time())


def trains(config, workdir, *more):
    return launched(f"--config=configs/{config}.py", f"--workdir={workdir}", *SMALL, *more)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("first") / "vae"
    assert trains("vae", workdir, *VAE) == 0
    return workdir


@pytest.fixture(scope="module")
def constrained(first, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("second") / "actor"
    assert trains("latent_constraints", workdir, f"--config.stage_of={first}", *ACTOR) == 0
    return workdir


def assert_above_chance(share, classes, num):
    """More than 5 deviations above the share of `num` examples that are as likely of any class."""
    chance = 1 / classes
    assert share > chance + 5 * np.sqrt(chance * (1 - chance) / num)


def test_the_vae_stays_and_two_names_ask_for_a_class(first, constrained):
    run, vae = jaxvae.load(constrained), jaxvae.load(first)
    for one, other in zip(jax.tree.leaves(run.params["first"]), jax.tree.leaves(vae.params), strict=True):
        np.testing.assert_array_equal(one, other)
    z = np.asarray(jax.random.normal(jax.random.key(0), (5, 4)))
    context = np.eye(10, dtype=np.float32)[[3] * 5]
    moved = run.model.stages[1].decode(run.params, z, context).mean
    np.testing.assert_allclose(
        run.model.decode(run.params, z, context).mean, vae.model.decode(vae.params, moved).mean, rtol=1e-5, atol=1e-6
    )
    assert run.sample(3, context=7).shape == (3, 8, 8, 1)
    drawn = []
    for name in ("context", "attributes"):  # two names of one setting
        assert launched(f"--workdir={constrained}", "--mode=sample", f"--config.sample.{name}=3",
                        "--config.sample.num=4") == 0  # fmt: skip
        drawn.append((constrained / "samples.npz").read_bytes())
    assert drawn[0] == drawn[1]


def test_draws_take_a_class(constrained):
    run = jaxvae.load(constrained)
    train = run._trained.dataset.train
    nearest = KNeighborsClassifier(1).fit(train.x.reshape(len(train.x), -1), train.label)
    shares = [np.mean(nearest.predict(run.sample(40, context=c).reshape(40, -1)) == c) for c in range(10)]
    assert_above_chance(np.mean(shares), 10, 400)
    assert_above_chance(np.median(shares), 10, 40)  # not by a few classes alone


def test_examples_are_moved_to_other_classes(first, constrained):
    assert launched(f"--workdir={constrained}", "--mode=tool", "--config.tool=transform",
                    "--config.sample.attributes=0,2,4,6,8") == 0  # fmt: skip
    with np.load(constrained / "tools" / "transform.npz") as found:
        assert found["given"].tolist() == [f"label = {c}" for c in (0, 2, 4, 6, 8)]
        assert found["mean"].shape[1] == 5
    numbers = json.loads((constrained / "tools" / "transform.json").read_text())
    run = jaxvae.load(constrained)._trained
    z = run.codes("test")
    assert_above_chance(numbers["agreement"], 5, len(z))  # where the class changes nothing, one of five at most
    away = run.model.stages[1].decode(run.params, z, run.context("test")).mean - z
    assert numbers["distance"] == pytest.approx(float(np.mean(np.square(away))), rel=1e-4)
    with pytest.raises(UserError, match="needs an actor in the latent space"):
        find({"name": "transform"}, jaxvae.load(first)._trained)()


def test_what_does_not_fit_is_refused_before_training(first, tmp_path, capsys):
    for more, words in (
        (("--config.model.latent_dim=5",), "An actor moves codes of the first stage, which are [4]"),
        (("--config.data.context=",), "there are none: set data.context"),
        (("--config.data.labels=100",), "takes it as known"),
        ((f"--config.stage_of={tmp_path}",), "Train the first stage before this one"),
    ):
        assert trains("latent_constraints", tmp_path / "run", f"--config.stage_of={first}", *more) == 2
        assert words in capsys.readouterr().err
        assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_training_goes_on_to_the_same_bits(first, constrained, tmp_path):
    more = f"--config.stage_of={first}", *ACTOR, "--config.train.steps_per_call=10"
    for epochs in (7, 20):
        assert trains("latent_constraints", tmp_path / "run", *more, f"--config.train.num_epochs={epochs}") == 0
    for one, other in zip(
        weights(tmp_path / "run", "last").values(), weights(constrained, "last").values(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
