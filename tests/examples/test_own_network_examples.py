"""Networks of Flax Linen, Flax NNX and Equinox in the examples: they train, and a run with one is restored."""

import importlib
import sys
import time
from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from sklearn.datasets import load_digits
from slow_cases import fast

import jaxvae
import launch
from jaxvae import likelihoods, objectives, posteriors, priors, train
from jaxvae.models.vae import make_model

ROOT = Path(__file__).resolve().parents[2]
NETWORKS = {
    "own_network_linen": "normed",
    "own_network_nnx": "normed",
    "own_network_equinox": "dense",
}


@pytest.fixture
def example_network(monkeypatch):
    """`name -> builder` of an example's network."""
    monkeypatch.syspath_prepend(ROOT / "examples")

    def find(name):
        if name == "own_network_equinox":
            pytest.importorskip("equinox")
        return getattr(importlib.import_module(name), NETWORKS[name])

    yield find
    for name in NETWORKS:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", fast(NETWORKS, "own_network_linen"))
def test_networks_of_other_libraries_train_and_are_the_same_in_every_evaluation(name, example_network):
    network = example_network(name)(hidden=32, dropout=0.1)
    parts = posteriors.diagonal_gaussian(4), priors.standard_normal(4), likelihoods.bernoulli(), network
    model = make_model(*parts, data_shape=(64,))
    objective = objectives.elbo(model, objectives.KL_WEIGHTS["constant"]())
    optimizer = optax.adam(3e-3)
    state = jax.jit(partial(train.init_state, objective, optimizer))(jax.random.key(0))
    x = np.asarray(load_digits().data[: 12 * 128] >= 8, np.float32).reshape(12, 128, 64)
    step = train.make_step(objective, optimizer, lambda key, x: x, 12 * 128)
    run = jax.jit(lambda state: jax.lax.scan(step, state, {"x": np.tile(x, (5, 1, 1))}))
    state, metrics = run(state)
    assert metrics["loss"][:3].mean() > 40  # 64 log 2 is 44
    assert metrics["loss"][-3:].mean() < 32
    params = objective.model_params(state.params, state.extra)
    encode = jax.jit(lambda x: model.encode(params, x).mean)
    np.testing.assert_allclose(encode(x[0])[:8], encode(x[0, :8]), rtol=1e-4, atol=1e-5)  # no noise, no statistics
    assert model.decode(params, np.zeros((2, 3, 4), np.float32)).mean.shape == (2, 3, 64)


@pytest.mark.slow
def test_a_run_with_an_nnx_network_is_restored_from_its_folder(tmp_path, monkeypatch, example_network):
    example_network("own_network_nnx")
    argv = [
        "launch.py", f"--config={ROOT / 'configs' / 'vae.py'}", f"--workdir={tmp_path}",
        "--config.network=own_network_nnx:normed", "--config.network.hidden=16", "--config.train.num_epochs=1",
        "--config.evaluate.report=False", "--config.evaluate.nll_samples=2", "--config.evaluate.metrics=",
    ]  # fmt: skip
    assert launch.main(argv, time.time()) == 0
    model, params = jaxvae.restore(tmp_path)
    assert params["encoder"].keys() >= {"first.kernel.value", "last.bias.value"}
    stats = params["network_state"]["encoder"]["batch_stats"]
    assert np.all(stats["norm.var.value"] != 1)
    assert jaxvae.reconstruct(model, params, np.zeros((2, 8, 8, 1), np.float32)).shape == (2, 8, 8, 1)
