"""A run whose checkpoints were written by an older version goes on to the same bits."""

import contextlib
import functools
import json
import shutil

import jax
import numpy as np
import pytest
from numerics_tools import assert_same, launched

from jaxvae import train
from jaxvae.experiment import build
from jaxvae.experiment.plain import load_config
from jaxvae.experiment.setup import setup
from jaxvae.runs.checkpoint_reader import Reader
from jaxvae.runs.checkpoints import Checkpoints
from jaxvae.train.state import split_state


def saved(workdir, step):
    """The whole checkpoint of a step: `{"weights", "rest", "info"}`."""
    config = load_config(workdir)
    experiment = setup(config)
    init = functools.partial(
        train.init_state, experiment.objective, build.optimizer(config, experiment.objective, experiment.total_steps)
    )
    template = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), jax.eval_shape(init, jax.random.key(0)))
    weights, rest = split_state(template)
    with contextlib.closing(Reader(workdir / "checkpoints")) as reader:
        return reader.arrays(step, weights=weights, rest=rest)


@pytest.mark.slow
def test_a_checkpoint_without_the_key_takes_it_from_the_seed(tmp_path):
    whole, older = tmp_path / "whole", tmp_path / "older"
    settings = ("train.num_epochs=2", "seed=5", "optimizer.ema_decay=0.9")
    launched(whole, *settings)
    shutil.copytree(whole, older)
    shutil.rmtree(older / "checkpoints")
    first = saved(whole, 10)
    del first["rest"]["key"]
    checkpoints = Checkpoints(older / "checkpoints")
    checkpoints.save(10, first["weights"], first["rest"], first["info"], 1.0)
    checkpoints.close()
    metadata = older / "checkpoints/10/info/metadata"
    info = json.loads(metadata.read_text())
    assert info.pop("rest") == ["opt_state", "step"]  # the first version did not name them
    metadata.write_text(json.dumps(info))
    launched(older, *settings)
    assert_same(saved(older, 20)["weights"], saved(whole, 20)["weights"])
    assert_same(saved(older, 20)["rest"], saved(whole, 20)["rest"])
    assert saved(older, 20)["rest"]["key"].any()
