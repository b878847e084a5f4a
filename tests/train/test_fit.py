"""`train.fit`: the same bits as the command line, a known optimum, what is refused."""

import importlib.util
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import launch
from jaxvae import UserError, data, train
from jaxvae.common.errors import NonFiniteLoss
from jaxvae.experiment import build
from jaxvae.experiment.plain import load_config
from jaxvae.experiment.setup import setup
from jaxvae.objectives.base import Loss, Objective
from jaxvae.runs.restore import restore_run

ROOT = Path(__file__).resolve().parents[2]
SHORT = ("--config=configs/vae.py", "--config.train.num_epochs=2", "--config.train.steps_per_call=7",
         "--config.network.hidden=(16,)", "--config.evaluate.nll_samples=2", "--config.evaluate.metrics=",
         "--config.evaluate.report=False", "--config.figures.draw=False", "--config.train.batch_size=64")  # fmt: skip


@pytest.mark.slow
def test_the_command_line_trains_to_the_same_bits(tmp_path):
    assert launch.main(["launch.py", *SHORT, f"--workdir={tmp_path}"], time.time()) == 0
    config = load_config(tmp_path)
    experiment = setup(config)
    optimizer = build.optimizer(config, experiment.objective, experiment.total_steps)
    feed = data.make_feed(experiment.dataset.train, config["train"]["batch_size"], config["seed"])
    key = jax.random.key(config["seed"])
    steps = experiment.total_steps
    fitted = train.fit(experiment.objective, optimizer, feed, key, steps, experiment.preprocess, steps_per_call=7)
    restored = restore_run(tmp_path, "last")
    assert jax.tree.structure(restored.params) == jax.tree.structure(fitted.params)
    for one, other in zip(jax.tree.leaves(restored.params), jax.tree.leaves(fitted.params), strict=True):
        np.testing.assert_array_equal(one, other)
    assert fitted.metrics["loss"].shape == (steps,)
    assert fitted.state.step == steps


def mean_of_data(scale=1.0):
    """The objective |x - w|^2 / 2, least at the mean of the data."""

    def loss(params, extra, batch, key, ctx):
        errors = 0.5 * jnp.sum(jnp.square(batch["x"] - scale * params["model"]["w"]), axis=-1)
        return Loss({"model": jnp.mean(errors)}, {"loss": jnp.mean(errors)}, extra)

    return Objective(
        lambda key: ({"model": {"w": jnp.zeros(3)}}, {}), loss, model_params=lambda params, extra: params["model"]
    )


def test_it_finds_the_optimum_and_repeats_itself():
    x = np.random.default_rng(0).normal(2.0, 1.0, size=(64, 3)).astype(np.float32)
    feed = data.make_feed(data.Split(x), batch_size=64, seed=0)
    fitted, again = (train.fit(mean_of_data(), optax.sgd(0.5), feed, jax.random.key(0), 40) for _ in range(2))
    np.testing.assert_allclose(fitted.params["w"], x.mean(axis=0), rtol=1e-5)
    expected = 0.5 * np.sum(x.var(axis=0))
    assert fitted.metrics["loss"][-1] == pytest.approx(expected, rel=1e-5)
    np.testing.assert_array_equal(fitted.metrics["loss"], again.metrics["loss"])


@pytest.mark.parametrize("given", [{"num_steps": 0}, {"num_steps": 3, "steps_per_call": 0}])
def test_no_steps_are_refused(given):
    feed = data.make_feed(data.Split(np.zeros((8, 3), np.float32)), batch_size=8, seed=0)
    with pytest.raises(UserError, match="must be at least 1"):
        train.fit(mean_of_data(), optax.sgd(0.5), feed, jax.random.key(0), **given)


def test_a_loss_that_is_not_finite_ends_it():
    feed = data.make_feed(data.Split(np.ones((8, 3), np.float32)), batch_size=8, seed=0)
    with pytest.raises(NonFiniteLoss, match="step 1"):
        train.fit(mean_of_data(np.nan), optax.sgd(0.5), feed, jax.random.key(0), 3)


@pytest.mark.slow
def test_the_example_learns():
    spec = importlib.util.spec_from_file_location("fit_arrays", ROOT / "examples" / "fit_arrays.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.main(num_steps=150) < 27  # the mean of each pixel has 24.85 + KL 0; 64 log 2 is 44
