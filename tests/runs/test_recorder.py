"""What a recorder saves: no state with a parameter that is not finite, in whatever group."""

import contextlib
import time
from types import SimpleNamespace

import jax
import numpy as np
import optax
import pytest
from numerics_tools import assert_same

from jaxvae import data
from jaxvae.common.errors import NonFiniteLoss
from jaxvae.data.spec import DataSpec
from jaxvae.runs.recorder import Recorder, saved_seconds
from jaxvae.runs.storage import Disk, Memory
from jaxvae.runs.trackers.opening import Trackers
from jaxvae.train import sharding
from jaxvae.train.state import TrainState

OPTIMIZER = optax.sgd(0.1)
X = np.zeros((8, 3), np.float32)


def state(step, **broken):
    """Three groups of parameters; the last number of each group in `broken` is the one given."""
    params = {
        name: {"kernel": np.full((3, 2), step, np.float32), "other": {"bias": np.full(2, step, np.float32)}}
        for name in ("model", "discriminator", "critic")
    }
    for group, value in broken.items():
        params[group]["other"]["bias"][-1] = value
    return TrainState(np.int32(step), params, OPTIMIZER.init(params), {}, jax.random.key_data(jax.random.key(0)))


@contextlib.contextmanager
def recorder(storage):
    train = {"trackers": "", "patience": 0, "select": "loss"}
    experiment = SimpleNamespace(
        config={"name": "it", "train": train}, spec=DataSpec((3,)), data_checksum=1, total_steps=9,
        dataset=SimpleNamespace(train=data.Split(X), vocabulary=()),
    )  # fmt: skip
    how = lambda *_: {}, lambda params: {}, 1, 0, saved_seconds({}), time.time(), Trackers({})
    with Recorder(experiment, storage, storage.checkpoints(), sharding.global_view(), *how, progress=False) as made:
        yield made


@pytest.mark.parametrize("place", ["folder", "memory"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("group", ["model", "discriminator", "critic"])
def test_a_group_that_is_not_finite_is_not_saved_and_the_last_good_state_stays(group, value, place, tmp_path):
    storage = Disk(tmp_path) if place == "folder" else Memory()
    with recorder(storage) as made:
        made.save(state(1), 1, 5.0)
        with pytest.raises(NonFiniteLoss, match="A parameter became NaN or infinite by step 2"):
            made.save(state(2, **{group: value}), 2, 1.0)  # with the better score
    for which in ("last", "best"):
        step, weights, _ = storage.weights(which)
        assert step == 1
        assert_same(weights["params"], state(1).params)
    if place == "folder":
        assert [path.name for path in (tmp_path / "checkpoints").glob("[0-9]*")] == ["1"]


def test_finite_groups_are_saved(tmp_path):
    with recorder(Disk(tmp_path)) as made:
        for step in (1, 2):
            made.save(state(step), step, 1.0 / step)
    step, weights, _ = Disk(tmp_path).weights("best")
    assert step == 2
    assert_same(weights["params"], state(2).params)
