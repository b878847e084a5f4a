"""The rate that each schedule applies at each step, warm-up, clipping; read off from the updates of plain SGD."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxvae.common.errors import UserError
from jaxvae.experiment import build
from jaxvae.objectives import Loss, Objective
from jaxvae.train import optimizers

ONE_GROUP = Objective(lambda key: ({"model": jnp.zeros(2)}, {}), lambda *_: Loss({}, {}, {}))


def rates(schedule, total_steps, num=None, **options):
    """The learning rates of the first steps, from SGD on a gradient of 1."""
    optimizer = optimizers.make_optimizer(optax.sgd, schedule, total_steps=total_steps, **options)

    def step(state, _):
        update, state = optimizer.update(jnp.ones(()), state)
        return state, -update

    return np.asarray(jax.lax.scan(step, optimizer.init(jnp.zeros(())), length=num or total_steps)[1])


def cosine(fraction, final):
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(fraction, 1)))


def linear(fraction, final):
    return 1 - (1 - final) * min(fraction, 1)


@pytest.mark.parametrize(("name", "shape"), [("constant", lambda *_: 1.0), ("cosine", cosine), ("linear", linear)])
@pytest.mark.parametrize("final", [0.0, 0.25])
@pytest.mark.parametrize("warmup", [0, 4])
def test_schedule_at_every_step_and_beyond_the_last(name, shape, final, warmup):
    options = {} if name == "constant" else {"final_fraction": final}
    got = rates(build.part("schedule", {"name": name, **options}), 20, 25, learning_rate=0.3, warmup_steps=warmup)
    expected = [0.3 * (t / warmup if t < warmup else shape((t - warmup) / (20 - warmup), final)) for t in range(25)]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("schedule", optimizers.SCHEDULES.values(), ids=optimizers.SCHEDULES)
def test_warmup_may_fill_the_whole_run(schedule):
    np.testing.assert_allclose(rates(schedule, 5, learning_rate=1.0, warmup_steps=5), np.arange(5) / 5, rtol=1e-6)


@pytest.mark.parametrize(("size", "norm"), [(100.0, 2.0), (2.5, 2.0), (1.5, 1.5), (0.0, 0.0)])
def test_clipping_limits_the_global_norm_and_keeps_the_direction(size, norm):
    options = {"learning_rate": 1.0, "total_steps": 1, "clip_norm": 2.0}
    optimizer = optimizers.make_optimizer(optax.sgd, optimizers.constant, **options)
    direction = {"a": np.array([0.6, 0.0], np.float32), "b": np.array([[0.8]], np.float32)}
    gradient = jax.tree.map(lambda d: size * d, direction)
    updates, _ = optimizer.update(gradient, optimizer.init(gradient))
    jax.tree.map(lambda u, d: np.testing.assert_allclose(u, -norm * d, rtol=1e-6), updates, direction)


def test_without_clipping_gradients_pass_unchanged():
    assert rates(optimizers.constant, 1, learning_rate=1e6)[0] == 1e6


@pytest.mark.parametrize(
    ("options", "name"),
    [({"learning_rate": value}, "learning_rate") for value in (0.0, -1.0, math.nan, math.inf)]
    + [({"clip_norm": value}, "clip_norm") for value in (-1.0, math.nan)]
    + [({"warmup_steps": value}, "warmup_steps") for value in (-1, 11)],
)
def test_values_out_of_range_are_refused(options, name):
    with pytest.raises(UserError, match=f"optimizer.{name}"):
        optimizers.make_optimizer(optax.sgd, optimizers.constant, **{"learning_rate": 0.1, "total_steps": 10} | options)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("adam", "b1", 7.0), ("adam", "b2", 1.0), ("adam", "eps", -1e-8), ("lion", "b1", -0.1),
        ("adamw", "weight_decay", -1.0), ("rmsprop", "decay", 1.5), ("sgd", "momentum", 1),
    ],
)  # fmt: skip
def test_numbers_without_sense_are_refused(name, option, value):
    spec = {"name": name, "learning_rate": 0.1, "warmup_steps": 0, "clip_norm": 0.0, "schedule": {"name": "constant"}}
    with pytest.raises(UserError, match=f"option {option} is {value}; it must be"):
        build.optimizer({"optimizer": {**spec, option: value}}, ONE_GROUP, 10)
    build.optimizer({"optimizer": {**spec, option: 0.0}}, ONE_GROUP, 10)


@pytest.mark.parametrize("name", ["cosine", "linear"])
@pytest.mark.parametrize("fraction", [-0.1, 1.1])
def test_a_final_fraction_is_a_fraction(name, fraction):
    with pytest.raises(UserError, match=f"final_fraction is {fraction}; it must be from 0 to 1"):
        optimizers.SCHEDULES[name](0.1, 10, final_fraction=fraction)


@pytest.mark.parametrize("name", optimizers.OPTIMIZERS)
def test_every_optimizer_descends_a_quadratic(name):
    spec = {"name": name, "learning_rate": 0.05, "warmup_steps": 5, "clip_norm": 1.0, "schedule": {"name": "cosine"}}
    optimizer = build.optimizer({"optimizer": spec}, ONE_GROUP, 500)
    target = jnp.array([1.0, -2.0])

    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update({"model": params["model"] - target}, state, params)
        return (optax.apply_updates(params, updates), state), None

    start = {"model": jnp.zeros(2)}
    (params, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), length=500)
    np.testing.assert_allclose(params["model"], target, atol=0.05)
