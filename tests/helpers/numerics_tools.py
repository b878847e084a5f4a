"""What the tests of how training computes share: a tiny model, its trainer, whole runs."""

import json
import time
from pathlib import Path

import jax
import numpy as np
import objective_tools as tools
import optax

import launch
from jaxvae import data, likelihoods, networks, posteriors, priors, train
from jaxvae.models.vae import make_model
from jaxvae.train import sharding

IMAGES = np.random.default_rng(0).uniform(size=(96, 6)).astype(np.float32)
BATCH = 32
WAYS = {"jit": sharding.global_view, "pmap": sharding.per_device}


def small(network, point=False):
    """Six values of data; with `point` a plain autoencoder, which draws nothing."""
    if point:
        parts = posteriors.delta(2), priors.standard_normal(2), likelihoods.squared_error()
    else:
        parts = posteriors.diagonal_gaussian(2), priors.standard_normal(2), likelihoods.bernoulli()
    return make_model(*parts, network, data_shape=(6,))


def objective_of(network, point=False):
    return tools.make("reconstruction" if point else "elbo", small(network, point))


def identity(key, x):
    del key
    return x


def trainer(objective, parallel, optimizer=None, context=None, **options):
    """`(start, run)` of a training on IMAGES in batches of BATCH."""
    optimizer = optimizer or optax.adam(1e-2)
    feed = data.make_feed(data.Split(IMAGES, context=context), BATCH, seed=0)
    run = train.make_trainer(objective, optimizer, identity, feed, parallel, **options)
    start = train.init_state(objective, optimizer, jax.random.key(0))

    def on_host(state, first, num):
        state, metrics = run(parallel.replicate(state), first, num)
        return jax.device_get((parallel.collect(state), metrics))

    return jax.device_get(start), on_host  # on the host nothing is donated


def assert_close(a, b, rtol=1e-5, atol=1e-6):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=atol), a, b)


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def equations(jaxpr):
    """Every equation of a jaxpr, those of inner ones too."""
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(equation.params, is_leaf=lambda leaf: hasattr(leaf, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from equations(inner)


MLP = networks.mlp((8,), "tanh")


def launched(workdir, *settings, mode="train"):
    short = ["evaluate.metrics=", "evaluate.report=False", "evaluate.nll_samples=2", "train.eval_every_epochs=1",
             "figures.draw=False"]  # fmt: skip
    config = [f"--config={Path(__file__).parents[2]}/configs/vae.py"] if mode == "train" else []
    chosen = [*short, "network.hidden=(8,)", *settings] if mode == "train" else settings
    argv = ["launch.py", *config, f"--mode={mode}", f"--workdir={workdir}", *(f"--config.{s}" for s in chosen)]
    assert launch.main(argv, time.time()) == 0


def rows_of(workdir, split=None):
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if split in (None, row["split"])]
