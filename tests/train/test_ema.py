"""The moving average of parameters, and updates that are skipped."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numerics_tools import MLP, WAYS, assert_same, identity, objective_of, trainer

from jaxvae import train
from jaxvae.common.errors import UserError
from jaxvae.objectives import Loss, Objective
from jaxvae.train.optimizers import constant, make_optimizer
from jaxvae.train.state import join_state, split_state
from jaxvae.train.transforms import exchanged

# The average of parameters.


def updated(optimizer, gradients, start=1.0):
    """The states after each of the gradients, `[(params, opt_state)]`."""
    params, states = {"a": jnp.asarray(start)}, []
    state = optimizer.init(params)
    for gradient in gradients:
        updates, state = optimizer.update({"a": jnp.asarray(gradient, jnp.float32)}, state, params)
        params = optax.apply_updates(params, updates)
        states.append((params, state))
    return states


def make(update=optax.sgd, **options):
    return make_optimizer(update, constant, learning_rate=0.1, total_steps=100, **options)


@pytest.mark.parametrize("decay", [0.5, 0.99, 0.99999])
def test_the_average_of_a_straight_line(decay):
    for t, (params, state) in enumerate(updated(make(ema_decay=decay), [2.0] * 30), start=1):
        lag = t / -np.expm1(t * np.log(decay)) - decay / (1 - decay)  # the mean of i with weights decay^(t - i)
        assert params["a"] == pytest.approx(1 - 0.2 * t, rel=1e-5, abs=1e-5)
        assert exchanged(params, state)[0]["a"] == pytest.approx(1 - 0.2 * lag, rel=1e-4, abs=1e-5)


def test_the_average_changes_no_update_and_its_decay_zero_nothing():
    gradients = np.random.default_rng(0).normal(size=20)
    averaged, plain = updated(make(optax.adam, ema_decay=0.9), gradients), updated(make(optax.adam), gradients)
    assert_same([params for params, _ in averaged], [params for params, _ in plain])
    params, state = plain[-1]
    assert_same(exchanged(params, state), (params, state))
    zero = make(optax.adam, ema_decay=0.0, skip_norm=0.0)
    assert jax.tree.structure(zero.init(params)) == jax.tree.structure(state)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_state_taken_apart_and_put_together_goes_on_with_the_same_bits(way):
    optimizer = make(optax.adam, ema_decay=0.9, skip_norm=100.0, clip_norm=1.0)
    start, run = trainer(objective_of(MLP), WAYS[way](), optimizer)
    state, _ = run(start, 0, 3)
    weights, rest = split_state(state)
    kernel = ("model", "encoder", "Dense_0", "kernel")
    average, raw = (functools.reduce(dict.__getitem__, kernel, tree) for tree in (weights["params"], state.params))
    assert 0 < np.abs(average - raw).max() < 0.1
    assert_same(join_state(weights, rest), state)
    assert_same(run(join_state(weights, rest), 3, 3), run(state, 3, 3))


# Skipped updates.


def test_too_large_and_broken_gradients_change_nothing():
    optimizer = make(optax.adam, skip_norm=3.0, ema_decay=0.9)
    gradients = [1.0, 5.0, -2.9, np.nan, np.inf, -3.1, 1e30, 0.5]
    taken = [1.0, -2.9, 0.5]
    states, expected = updated(optimizer, gradients), updated(make(optax.adam, ema_decay=0.9), taken)
    for i, number in enumerate([1, 1, 2, 2, 2, 2, 2, 3]):
        params, state = states[i]
        assert_same((params, state.inner), expected[number - 1])
        assert state.skipped == (abs(gradients[i]) > 3 or np.isnan(gradients[i]))


def test_the_norm_is_the_one_before_clipping():
    (small, _), (large, state) = updated(make(clip_norm=1.0, skip_norm=3.0), [2.0, 5.0])
    assert small["a"] == pytest.approx(0.9)  # clipped to 1
    assert state.skipped
    assert large["a"] == small["a"]
    assert updated(make(clip_norm=1.0), [2.0, 5.0])[1][0]["a"] == pytest.approx(0.8)


def test_a_skipped_step_moves_the_step_alone():
    def loss(params, extra, batch, key, ctx):
        del key, ctx
        value = jnp.sqrt(params["model"] * batch["x"][:, 0])  # at 0 it is finite, its slope is not
        return Loss({"model": value}, {"loss": value}, {"seen": extra["seen"] + 1})

    objective = Objective(lambda key: ({"model": jnp.ones(())}, {"seen": jnp.zeros(())}), loss)
    optimizer = make(skip_norm=3.0)
    step = jax.jit(train.make_step(objective, optimizer, identity, 1))
    state = train.init_state(objective, optimizer, jax.random.key(0))
    seen = []
    for x in (1.0, 0.0, 100.0, 4.0):  # of slope 1/2, none, 5, 1
        before = state
        state, metrics = step(state, {"x": jnp.full((2, 1), x)})
        assert jnp.isfinite(metrics["loss"])
        assert state.step == before.step + 1
        same = state.params["model"] == before.params["model"]
        assert same == (state.extra["seen"] == before.extra["seen"]) == bool(metrics["skipped"])
        seen.append(float(metrics["skipped"]))
    assert seen == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"ema_decay": value}, f"optimizer.ema_decay is {value}; it must be 0") for value in (-0.1, 1.0, 2.0, np.nan)]
    + [({"skip_norm": value}, f"optimizer.skip_norm is {value}; it must be 0") for value in (-1.0, np.nan, np.inf)],
)
def test_numbers_out_of_their_range_are_refused(options, said):
    with pytest.raises(UserError, match=said):
        make(**options)
