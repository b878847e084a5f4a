"""Steps outside a loop, bfloat16, accumulation and rematerialisation do what they say."""

import functools
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import objective_tools as tools
import optax
import pytest
from numerics_tools import (
    IMAGES,
    MLP,
    WAYS,
    assert_close,
    assert_same,
    equations,
    identity,
    launched,
    objective_of,
    rows_of,
    small,
    trainer,
)
from slow_cases import fast

from jaxvae import networks, train
from jaxvae.common.errors import UserError
from jaxvae.experiment.parts import PARTS
from jaxvae.networks.precision import computed
from jaxvae.objectives import Loss, Objective
from jaxvae.runs import training
from jaxvae.train import sharding
from jaxvae.train.gradients import check_accumulate

UNLOOPED = MLP._replace(loops=False)

# Steps outside a loop.


@pytest.mark.slow
@pytest.mark.parametrize("way", fast(WAYS, "jit"))
def test_steps_outside_a_loop_give_the_same_numbers(way):
    assert small(MLP).loops
    assert not small(UNLOOPED).loops
    start, looped = trainer(objective_of(MLP), WAYS[way]())
    _, single = trainer(objective_of(UNLOOPED), WAYS[way](), loops=False)
    (state, metrics), (expected, expected_metrics) = single(start, 0, 6), looped(start, 0, 6)
    assert state.step == expected.step == 6
    assert_close((state, metrics), (expected, expected_metrics))
    assert {name: value.shape for name, value in metrics.items()} == dict.fromkeys(expected_metrics, (6,))
    middle, first = single(start, 0, 2)
    last, second = single(middle, 2, 4)
    assert_same(last, state)
    assert_same({name: np.concatenate([first[name], second[name]]) for name in first}, metrics)


@pytest.mark.parametrize("accumulate", [pytest.param(1, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize("loops", [True, False])
def test_without_loops_nothing_is_compiled_into_one(loops, accumulate):
    parallel, programs = sharding.global_view(jax.devices()[:1]), []

    def compile_(function):
        compiled = parallel.compile(function)
        programs.append(compiled)
        return lambda *args: programs.append(args) or compiled(*args)

    start, run = trainer(
        objective_of(MLP, point=True), parallel._replace(compile=compile_), loops=loops, accumulate=accumulate
    )
    run(start, 0, 3)
    compiled, *calls = programs
    assert len(calls) == (1 if loops else 3)
    args = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), calls[0])
    names = [equation.primitive.name for equation in equations(jax.make_jaxpr(compiled)(*args).jaxpr)]
    assert names.count("scan") == loops + (accumulate > 1)
    assert (" while(" in compiled.lower(*args).compile().as_text()) == loops


@pytest.fixture
def unlooped(monkeypatch):
    """The network "mlp" as one that does not suit loops."""

    @functools.wraps(networks.mlp)
    def mlp(*args, **options):
        return networks.mlp(*args, **options)._replace(loops=False)

    monkeypatch.setitem(PARTS["network"], "mlp", mlp)


def test_a_run_tells_its_trainer_what_suits_its_network(unlooped, refused, monkeypatch):
    given = []

    def make_trainer(*args):
        given.extend(args[5:])
        raise UserError("that is all")

    monkeypatch.setattr(training, "make_trainer", make_trainer)
    config = f"--config={Path(__file__).parents[2]}/configs/vae.py"
    assert "that is all" in refused(config, "--config.train.accumulate=2")
    assert given == [2, False]


@pytest.mark.slow
def test_a_run_without_loops_writes_the_same_rows(tmp_path, request):
    rows = []
    for name in ("looped", "unlooped"):
        if name == "unlooped":
            request.getfixturevalue(name)
        launched(tmp_path / name, "train.num_epochs=2", "train.steps_per_call=4")
        rows.append(rows_of(tmp_path / name))
    assert [row["step"] for row in rows[0]] == [4, 8, 10, 10, 14, 18, 20, 20]
    for one, other in zip(*rows, strict=True):
        assert one.pop("split") == other.pop("split")
        assert {**one, "seconds": 0} == pytest.approx({**other, "seconds": 0}, rel=1e-5)


# bfloat16.


def traced(objective):
    params, extra = objective.init(jax.random.key(0))

    def loss(params):
        out = objective.loss(params, extra, {"x": IMAGES}, jax.random.key(1), tools.CTX)
        return jnp.mean(out.losses["model"]), out.metrics

    return params, loss


@pytest.mark.parametrize("remat", fast([False, True], True))
def test_networks_compute_in_bfloat16_and_all_else_in_float32(remat):
    params, loss = traced(objective_of(computed(MLP, "bfloat16", remat)))
    products = [
        equation for equation in equations(jax.make_jaxpr(jax.grad(loss, has_aux=True))(params).jaxpr)
        if equation.primitive.name == "dot_general"
    ]  # fmt: skip
    assert len(products) >= 11  # 4 layers forward, and for each one or two backward
    assert {str(var.aval.dtype) for equation in products for var in equation.invars} == {"bfloat16"}
    gradients, metrics = jax.jit(jax.grad(loss, has_aux=True))(params)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves((params, gradients, metrics))} == {"float32"}

    params32, loss32 = traced(objective_of(MLP))
    assert_same(params, params32)
    gradients32, metrics32 = jax.jit(jax.grad(loss32, has_aux=True))(params)
    assert 0 < np.abs(metrics["loss"] - metrics32["loss"]).max() < 0.02 * np.abs(metrics32["loss"]).min()
    error = optax.tree.norm(jax.tree.map(jnp.subtract, gradients, gradients32)) / optax.tree.norm(gradients32)
    assert 0 < error < 0.03


def test_one_layer_in_bfloat16_is_a_product_of_rounded_numbers():
    model = small(computed(networks.mlp(()), "bfloat16"), point=True)
    params = model.init(jax.random.key(0))
    rounded = jax.tree.map(
        lambda a: np.asarray(a).astype(ml_dtypes.bfloat16).astype(np.float64), (params["encoder"]["Dense_0"], IMAGES)
    )
    exact = rounded[1] @ rounded[0]["kernel"] + rounded[0]["bias"]
    got = np.asarray(model.encode(params, IMAGES).mean)
    np.testing.assert_array_equal(got, got.astype(ml_dtypes.bfloat16).astype(np.float32))
    np.testing.assert_allclose(got, exact, rtol=2**-8, atol=1e-6)  # the result alone is rounded once more


@pytest.mark.slow
def test_training_in_bfloat16_lowers_the_loss():
    start, run = trainer(objective_of(computed(MLP, "bfloat16"), point=True), sharding.global_view())
    state, metrics = run(start, 0, 60)
    _, expected = trainer(objective_of(MLP, point=True), sharding.global_view())[1](start, 0, 60)
    fallen = metrics["loss"][0] - metrics["loss"][-3:].mean()
    assert fallen == pytest.approx(expected["loss"][0] - expected["loss"][-3:].mean(), rel=0.02)
    assert fallen > 0.3 * metrics["loss"][0]
    assert {leaf.dtype for leaf in jax.tree.leaves((state.params, state.opt_state)) if leaf.ndim} == {np.dtype("f4")}


class Echo(nn.Module):
    """Gives back what it is given."""

    def __call__(self, *args):
        return args

    def start(self, *args):
        return args

    def step(self, *args):
        return args


def test_tokens_are_not_rounded():
    token, real = jnp.asarray(257.0), jnp.asarray(1.001)  # neither is a bfloat16
    network = networks.Network(lambda *_: Echo(), lambda *_: Echo())
    plain, exact = (computed(network, "bfloat16", tokens=tokens) for tokens in (False, True))
    assert plain.encoder((), 1).apply({}, token, real)[0] == (256, 1)
    assert exact.encoder((), 1).apply({}, token, real)[0] == (257, 1)
    decoder = exact.decoder((), ())
    assert decoder.apply({}, real, token)[0] == (1, 257)
    assert decoder.start({}, real, real) == (1, 1)
    assert decoder.step({}, real, token) == (1, 257)
    assert decoder.apply({}, jnp.asarray(257), jnp.asarray(257))[0] == (257, 257)  # whole numbers
    assert computed(network) is network


# Accumulation.


@pytest.mark.parametrize("loops", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("way", fast(WAYS, "pmap"))
def test_accumulated_parts_are_one_batch(way, loops):
    def three_steps(**options):
        start, run = trainer(objective_of(MLP, point=True), WAYS[way](), optax.sgd(0.1), loops=loops, **options)
        return start, run(start, 0, 3)

    start, expected = three_steps()
    for num in (2, 4):
        assert_close(three_steps(accumulate=num)[1], expected)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), expected[0].params, start.params)
    assert min(jax.tree.leaves(moved)) > 1e-3


def noisy(with_extra=False):
    """The gradient of its one parameter is the mean of noise and of x."""

    def init(key):
        del key
        return {"model": jnp.ones(())}, {"count": jnp.asarray(0), "half": jnp.ones(())} if with_extra else {}

    def loss(params, extra, batch, key, ctx):
        del ctx
        value = params["model"] * (jax.random.normal(key, batch["x"].shape[:1]) + batch["x"][:, 0])
        if with_extra:
            extra = {"count": extra["count"] + 1, "half": extra["half"] / 2}
        return Loss({"model": value}, {"loss": value}, extra)

    return Objective(init, loss)


def test_each_part_draws_its_own_noise_and_state_moves_once():
    optimizer, x = optax.sgd(1.0), IMAGES[:12]
    step = train.make_step(noisy(with_extra=True), optimizer, identity, 12, accumulate=3)
    state, metrics = jax.jit(step)(train.init_state(noisy(with_extra=True), optimizer, jax.random.key(0)), {"x": x})
    key = train.stream(0, "train")
    loss_key = jax.random.split(jax.random.fold_in(key, 0))[1]
    noise = np.stack([jax.random.normal(jax.random.fold_in(loss_key, i), (4,)) for i in range(3)])
    assert metrics["loss"] == pytest.approx(noise.mean() + x[:, 0].mean(), rel=1e-5)
    assert 1 - state.params["model"] == pytest.approx(float(metrics["loss"]), rel=1e-5)
    assert (state.step, state.extra["count"]) == (1, 1)
    assert state.extra["half"] == pytest.approx(0.5)


def temporary_bytes(network, **options):
    """What one compiled step on one device holds beside its arguments and results."""
    objective, optimizer = objective_of(network, point=True), optax.sgd(0.1)
    step = train.make_step(objective, optimizer, identity, 512, **options)
    state = jax.eval_shape(lambda key: train.init_state(objective, optimizer, key), jax.random.key(0))
    batch = {"x": jax.ShapeDtypeStruct((512, 6), np.float32)}
    return jax.jit(step).lower(state, batch).compile().memory_analysis().temp_size_in_bytes


DEEP = networks.mlp((64,) * 6, "silu")


@pytest.mark.parametrize("unroll", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_accumulation_saves_memory(unroll):
    assert temporary_bytes(DEEP, accumulate=4, unroll=unroll) < 0.5 * temporary_bytes(DEEP)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((0, 128), "train.accumulate is 0; it must be 1"),
        ((-2, 128), "train.accumulate is -2"),
        ((3, 128), "train.batch_size is 128, which train.accumulate=3 cannot split equally; take a multiple of 3, 126"),
        ((4, 40, 8), "8 devices with train.accumulate=4 cannot split equally; take a multiple of 32, 32 for"),
        ((4, 3), "a multiple of 4, 4 for"),
        ((2, 128, 1, "it is a statistic of it"), r"train.accumulate is 2, .* \(it is a statistic of it\)"),
    ],
)
def test_what_cannot_be_accumulated_is_refused(args, said):
    with pytest.raises(UserError, match=said):
        check_accumulate(*args)


def test_what_can_be_accumulated():
    check_accumulate(1, 128, 8, "one part is the whole batch")
    check_accumulate(4, 64, 8)


# Rematerialisation.


@pytest.mark.slow
def test_rematerialised_networks_have_the_same_gradients_and_keep_less_for_them():
    again = computed(DEEP, remat=True)
    (params, loss), (params_again, loss_again) = traced(objective_of(DEEP)), traced(objective_of(again))
    assert_same(params, params_again)
    gradients, gradients_again = (jax.jit(jax.grad(f, has_aux=True))(params) for f in (loss, loss_again))
    assert_close(gradients_again, gradients, rtol=1e-4)
    kept, kept_again = (num_residuals(f, params) for f in (loss, loss_again))
    assert kept > len(IMAGES) * 12 * 64  # at least one number for each unit of the 12 layers
    assert kept_again < len(IMAGES) * 64  # what goes into a network is six numbers, or two


def num_residuals(loss, params):
    """How many numbers the forward pass hands to the backward pass, beside the parameters."""
    pullback = jax.eval_shape(lambda p: jax.vjp(lambda q: loss(q)[0], p)[1], params)
    own = sum(leaf.size for leaf in jax.tree.leaves(params))
    return sum(leaf.size for leaf in jax.tree.leaves(pullback)) - own
