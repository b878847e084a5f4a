"""Groups of parameters: each with an optimiser, schedule, clipping, EMA, skipping and cadence of its own, or frozen."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools
import optax
import pytest
from group_tools import GRADIENTS, make, numbers, trained, with_critic
from numerics_tools import assert_same, identity

from jaxvae import train
from jaxvae.common.errors import UserError
from jaxvae.objectives import Loss, Objective
from jaxvae.train.optimizers import cosine, make_optimizer
from jaxvae.train.transforms import exchanged

OWN = {
    "model": functools.partial(make, optax.adam, cosine, clip_norm=1.0, ema_decay=0.8, skip_norm=8.0),
    "critic": functools.partial(make, optax.rmsprop, rate=0.03, warmup_steps=2, ema_decay=0.5, skip_norm=3.0),
}


def test_each_group_is_updated_as_if_it_were_alone():
    start = numbers(0)
    together = trained(train.by_group({name: make() for name, make in OWN.items()}), GRADIENTS, start)
    for group, make_own in OWN.items():
        alone = trained(make_own(), [gradient[group] for gradient in GRADIENTS], start[group])
        skipped = []
        for (params, state), (own, own_state) in zip(together, alone, strict=True):
            assert_same(params[group], own)
            found = state.inner_states[group].inner_state
            assert_same(jax.tree.leaves(found), jax.tree.leaves(own_state))
            skipped.append(bool(own_state.skipped))
        assert 0 < sum(skipped) < len(skipped)


@pytest.mark.parametrize("num", [2, 3, 5])
def test_a_group_is_updated_at_every_nth_step_only(num):
    start, every = numbers(0), {"model": OWN["model"](), "critic": make(schedule=cosine, every=num, ema_decay=0.5)}
    states = trained(train.by_group(every), GRADIENTS, start)
    due = [gradient["critic"] for gradient in GRADIENTS[num - 1 :: num]]
    own = make_optimizer(optax.adam, cosine, learning_rate=0.1, total_steps=len(GRADIENTS) // num, ema_decay=0.5)
    alone = [(start["critic"], own.init(start["critic"])), *trained(own, due, start["critic"])]
    for step, (params, state) in enumerate(states, start=1):
        expected, expected_state = alone[step // num]
        assert_same(params["critic"], expected)
        inner = state.inner_states["critic"].inner_state
        assert inner.steps == step
        assert_same(jax.tree.leaves(inner.inner), jax.tree.leaves(expected_state))
    assert_same(states[0][0]["model"], trained(OWN["model"](), [GRADIENTS[0]["model"]], start["model"])[0][0])


def test_a_skipped_update_is_forgotten_at_the_next_step():
    gradients = [numbers(i, scale)["critic"] for i, scale in enumerate([1, 50, 1, 1], start=1)]
    states = trained(make(every=2, skip_norm=10.0), gradients, numbers(0)["critic"])
    assert [bool(state.inner.skipped) for _, state in states] == [False, True, False, False]


def test_the_ema_of_each_group_takes_the_place_of_its_parameters_and_back():
    optimizers = {"model": make(ema_decay=0.9), "critic": make()}
    params, state = trained(train.by_group(optimizers, ["model.decoder"]), GRADIENTS, numbers(0))[-1]
    averaged, swapped = exchanged(params, state)
    alone = trained(make(ema_decay=0.9), [g["model"]["encoder"] for g in GRADIENTS], numbers(0)["model"]["encoder"])
    assert_same(averaged["model"]["encoder"], alone[-1][1].average)
    assert np.abs(averaged["model"]["encoder"]["kernel"] - params["model"]["encoder"]["kernel"]).max() > 0.01
    assert_same(averaged["model"]["decoder"], params["model"]["decoder"])
    assert_same(averaged["critic"], params["critic"])
    assert_same(exchanged(averaged, swapped), (params, state))
    assert jax.tree.structure(exchanged(averaged, swapped)) == jax.tree.structure((params, state))


def test_one_group_has_the_plain_state_of_its_optimiser():
    params = {"model": numbers(0)["model"]}
    assert_same(train.by_group({"model": make(ema_decay=0.9)}).init(params), make(ema_decay=0.9).init(params))
    structure = jax.tree.structure(make(ema_decay=0.9).init(params))
    assert jax.tree.structure(train.by_group({"model": make(ema_decay=0.9)}).init(params)) == structure


# Frozen parameters.


@pytest.mark.parametrize(
    ("freeze", "still"),
    [
        (["model.encoder"], ["model.encoder.bias", "model.encoder.kernel"]),
        (["model.encoder.bias", "critic"], ["critic.kernel", "model.encoder.bias"]),
        (["model"], ["model.decoder", "model.encoder.bias", "model.encoder.kernel"]),
    ],
)
def test_frozen_parameters_keep_their_bits_and_have_no_moments(freeze, still):
    optimizers = {name: make() for name, make in OWN.items()}
    params, state = trained(train.by_group(optimizers, freeze), GRADIENTS, start := numbers(0))[-1]
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), start, params)
    paths = {
        jax.tree_util.keystr(p, simple=True, separator="."): v for p, v in jax.tree_util.tree_leaves_with_path(moved)
    }
    assert sorted(path for path, has_moved in paths.items() if not has_moved) == still
    kept = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(state)]
    for path in paths:
        name = "".join(f"['{part}']" for part in path.split("."))
        assert any(name in each for each in kept) == (path not in still)


def test_a_frozen_group_and_a_frozen_part_stay_in_training():
    objective = with_critic(tools.small())
    optimizer = train.by_group({"model": make(rate=1e-2), "critic": make()}, ["model.encoder", "critic.bias"])
    step = jax.jit(train.make_step(objective, optimizer, identity, 100))
    start = state = jax.jit(functools.partial(train.init_state, objective, optimizer))(jax.random.key(0))
    for _ in range(3):
        state, metrics = step(state, {"x": tools.X})
    assert "skipped_model" not in metrics
    assert_same(state.params["model"]["encoder"], start.params["model"]["encoder"])
    assert state.params["critic"]["bias"] == start.params["critic"]["bias"]
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), start.params, state.params)
    assert all(jax.tree.leaves(moved["model"]["decoder"]))
    assert moved["critic"]["kernel"]


def test_gradients_of_frozen_parameters_may_be_broken():
    gradients = [jax.tree.map(lambda leaf: leaf * jnp.nan, numbers(1)) | {"critic": numbers(1)["critic"]}]
    optimizers = {"model": make(skip_norm=1.0), "critic": make()}
    params, _ = trained(train.by_group(optimizers, ["model"]), gradients, numbers(0))[-1]
    assert_same(params["model"], numbers(0)["model"])
    assert np.all(np.isfinite(params["critic"]["kernel"]))


@pytest.mark.parametrize(
    ("freeze", "said"),
    [
        (["model.encodr"], r"train.freeze: Unknown part .* 'model.encodr'. Did you mean 'model.encoder'.*"
         r"Known: critic, critic.kernel, model, model.decoder, model.encoder\."),
        (["encoder"], r"'encoder'. Did you mean 'model.encoder'"),
        (["discriminator"], r"Known: critic, critic.kernel, model,"),
        (["model.encoder.Dense_0"], r"Known: .*model.encoder.bias, model.encoder.kernel\."),
        (["model.enc"], "Unknown part"),
        (["model", "critic"], "nothing is left to train"),
    ],
)  # fmt: skip
def test_what_cannot_be_frozen_is_refused(freeze, said):
    with pytest.raises(UserError, match=said):
        train.by_group({"model": make(), "critic": make()}, freeze).init(numbers(0))


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (["model"], "'critic' has no optimiser"),
        (["model", "critic", "critc"], "Unknown group .* 'critc'. Did you mean"),
    ],
)
def test_every_group_needs_an_optimiser_and_every_optimiser_a_group(groups, said):
    with pytest.raises(UserError, match=said):
        train.by_group(dict.fromkeys(groups, make())).init(numbers(0))


# Skipped updates of one group.


def test_a_skipped_group_is_named_and_the_others_move_on():
    def loss(params, extra, batch, key, ctx):
        del key, ctx
        slopes = {group: params[group] * batch["x"][:, i] for i, group in enumerate(("critic", "model"))}
        return Loss(slopes, {"loss": slopes["model"]}, {"seen": extra["seen"] + 1})

    objective = Objective(lambda key: ({"critic": jnp.ones(()), "model": jnp.ones(())}, {"seen": jnp.zeros(())}), loss)
    optimizer = train.by_group({"critic": make(skip_norm=3.0), "model": make()})
    step = jax.jit(train.make_step(objective, optimizer, identity, 1))
    state = train.init_state(objective, optimizer, jax.random.key(0))
    (still, metrics), (moved, more) = (step(state, {"x": jnp.asarray([[slope, 1.0]])}) for slope in (5.0, 1.0))
    assert (metrics["skipped_critic"], more["skipped_critic"]) == (1, 0)
    assert "skipped_model" not in metrics
    assert (still.params["critic"], still.extra["seen"]) == (1, 0)
    assert still.params["model"] == moved.params["model"] < 1
    assert moved.extra["seen"] == 1
    both = train.by_group({"critic": make(skip_norm=3.0), "model": make(skip_norm=3.0)})
    step, state = train.make_step(objective, both, identity, 1), train.init_state(objective, both, jax.random.key(0))
    still, metrics = jax.jit(step)(state, {"x": jnp.asarray([[5.0, 1.0]])})
    assert (metrics["skipped_critic"], metrics["skipped_model"]) == (1, 0)
    assert still.extra["seen"] == 0
