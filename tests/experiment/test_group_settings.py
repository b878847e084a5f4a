"""`optimizer.groups` and `train.freeze`: settings of single groups of parameters."""

import functools

import jax
import numpy as np
import optax
import pytest
from group_tools import GRADIENTS, make, numbers, trained
from numerics_tools import assert_same

from jaxvae import train
from jaxvae.common.errors import UserError
from jaxvae.experiment import build
from jaxvae.objectives import Loss, Objective
from jaxvae.train.optimizers import cosine

SECTION = {"name": "adam", "b1": 0.5, "learning_rate": 0.1, "warmup_steps": 0, "clip_norm": 0.0,
           "schedule": {"name": "cosine", "final_fraction": 0.5}, "groups": {}}  # fmt: skip
TWO = Objective(lambda key: (numbers(0), {}), lambda *_: Loss({}, {}, {}))


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"learning_rate": 0.01}, lambda: make(functools.partial(optax.adam, b1=0.5), half_cosine, rate=0.01)),
        ({"b1": 0.7, "clip_norm": 1.0},
         lambda: make(functools.partial(optax.adam, b1=0.7), half_cosine, clip_norm=1.0)),
        ({"name": "sgd", "every": 2}, lambda: make(optax.sgd, half_cosine, every=2)),
        ({"schedule": {"name": "constant"}}, lambda: make(functools.partial(optax.adam, b1=0.5))),
        ({"schedule": {"final_fraction": 1.0}}, lambda: make(functools.partial(optax.adam, b1=0.5))),
    ],
)  # fmt: skip
def test_settings_of_a_group_override_those_of_all(own, expected):
    optimizer = build.optimizer({"optimizer": {**SECTION, "groups": {"critic": own}}}, TWO, 12)
    shared = make(functools.partial(optax.adam, b1=0.5), half_cosine)
    by_hand = train.by_group({"model": shared, "critic": expected()})
    found, right = (trained(made, GRADIENTS, numbers(0))[-1][0] for made in (optimizer, by_hand))
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), found, right)
    assert_same(found["model"], trained(shared, [g["model"] for g in GRADIENTS], numbers(0)["model"])[-1][0])


def half_cosine(peak, total_steps):
    return cosine(peak, total_steps, final_fraction=0.5)


@pytest.mark.parametrize(
    ("own", "freeze", "said"),
    [
        (
            {"discriminator": {}},
            (),
            r"optimizer.groups: Unknown group of parameters 'discriminator'.*Known: critic, model",
        ),
        ({"critic": {"learning_rate": -1.0}}, (), "Of the group 'critic': optimizer.learning_rate is -1.0"),
        ({"critic": {"name": "adamm"}}, (), "Of the group 'critic': Unknown optimizer 'adamm'. Did you mean 'adam'"),
        (
            {"critic": {"name": "sgd", "b1": 0.5}},
            (),
            "Of the group 'critic': Unknown option 'b1' of the optimizer 'sgd'",
        ),
        ({"critic": {"every": 0}}, (), "optimizer.every is 0; it must be 1"),
        ({"critic": {"every": 5, "warmup_steps": 3}}, (), "from 0 to the run's 2 updates, one at every 5 steps"),
        ({}, ("model.encodr",), "train.freeze: Unknown part of the parameters 'model.encodr'"),
        ({}, (3,), "train.freeze is .3,.; it must be names"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(own, freeze, said):
    config = {"optimizer": {**SECTION, "groups": own}, "train": {"freeze": freeze}}
    with pytest.raises(UserError, match=said):
        build.optimizer(config, TWO, 12)


def test_names_of_frozen_parameters_may_be_one_list_with_commas():
    config = {"optimizer": SECTION, "train": {"freeze": ("model.encoder, critic",)}}
    state = build.optimizer(config, TWO, 12).init(numbers(0))
    assert_same(
        state, build.optimizer({**config, "train": {"freeze": ("model.encoder", "critic")}}, TWO, 12).init(numbers(0))
    )
    assert [leaf.shape for leaf in jax.tree.leaves(state)].count((4,)) == 2
    assert not any(leaf.shape == (3, 2) for leaf in jax.tree.leaves(state))
