"""Steps outside a loop, bfloat16, accumulation, rematerialisation, averages and skipped updates do what they say."""

import functools
import json
import shutil
import time
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import objective_tools as tools
import optax
import pytest

import jaxvae
import launch
from configs import base
from jaxvae import data, likelihoods, networks, posteriors, priors, sharding, train
from jaxvae.checkpoint_reader import Reader
from jaxvae.errors import UserError
from jaxvae.gradients import check_accumulate
from jaxvae.model import make_model
from jaxvae.objectives import Loss, Objective
from jaxvae.optimizers import constant, make_optimizer
from jaxvae.parts import PARTS
from jaxvae.precision import Computed, computed
from jaxvae.recorder import join_state, make_validation, split_state
from jaxvae.settings import ADDED
from jaxvae.updates import exchanged
from jaxvae.workdir import restore_run

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


def trainer(objective, parallel, optimizer=None, **options):
    """`(start, run)` of a training on IMAGES in batches of BATCH."""
    optimizer = optimizer or optax.adam(1e-2)
    feed = data.make_feed(data.Split(IMAGES), BATCH, seed=0)
    run = train.make_trainer(objective, optimizer, identity, feed, jax.random.key(1), len(IMAGES), parallel, **options)
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
UNLOOPED = MLP._replace(loops=False)

# Steps outside a loop.


@pytest.mark.parametrize("way", WAYS)
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


@pytest.mark.parametrize("accumulate", [1, 2])
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
        given.extend(args[7:])
        raise UserError("that is all")

    monkeypatch.setattr(train, "make_trainer", make_trainer)
    config = f"--config={Path(__file__).parents[1]}/configs/vae.py"
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


@pytest.mark.parametrize("remat", [False, True])
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


def test_tokens_are_not_rounded():
    token, real = jnp.asarray(257.0), jnp.asarray(1.001)  # neither is a bfloat16
    network = networks.Network(lambda *_: Echo(), lambda *_: Echo())
    plain, exact = (computed(network, "bfloat16", tokens=tokens) for tokens in (False, True))
    assert plain.encoder((), 1).apply({}, token, real) == (256, 1)
    assert exact.encoder((), 1).apply({}, token, real) == (257, 1)
    assert exact.decoder((), ()).apply({}, real, token) == (1, 257)
    assert exact.decoder((), ()).apply({}, real, real, method="start") == (1, 1)
    assert exact.decoder((), ()).apply({}, jnp.asarray(257), jnp.asarray(257)) == (257, 257)  # whole numbers
    assert exact.decoder((), ()) == Computed(Echo(), "bfloat16", False, (1,))
    assert computed(network) is network


# Accumulation.


@pytest.mark.parametrize("loops", [True, False])
@pytest.mark.parametrize("way", WAYS)
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
    optimizer, key, x = optax.sgd(1.0), jax.random.key(5), IMAGES[:12]
    step = train.make_step(noisy(with_extra=True), optimizer, identity, key, 12, accumulate=3)
    state, metrics = jax.jit(step)(train.init_state(noisy(with_extra=True), optimizer, jax.random.key(0)), {"x": x})
    loss_key = jax.random.split(jax.random.fold_in(key, 0))[1]
    noise = np.stack([jax.random.normal(jax.random.fold_in(loss_key, i), (4,)) for i in range(3)])
    assert metrics["loss"] == pytest.approx(noise.mean() + x[:, 0].mean(), rel=1e-5)
    assert 1 - state.params["model"] == pytest.approx(float(metrics["loss"]), rel=1e-5)
    assert (state.step, state.extra["count"]) == (1, 1)
    assert state.extra["half"] == pytest.approx(0.5)


def temporary_bytes(network, **options):
    """What one compiled step on one device holds beside its arguments and results."""
    objective, optimizer = objective_of(network, point=True), optax.sgd(0.1)
    step = train.make_step(objective, optimizer, identity, jax.random.key(1), 512, **options)
    state = jax.eval_shape(lambda key: train.init_state(objective, optimizer, key), jax.random.key(0))
    batch = {"x": jax.ShapeDtypeStruct((512, 6), np.float32)}
    return jax.jit(step).lower(state, batch).compile().memory_analysis().temp_size_in_bytes


DEEP = networks.mlp((64,) * 6, "silu")


@pytest.mark.parametrize("unroll", [False, True])
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
    step = jax.jit(train.make_step(objective, optimizer, identity, jax.random.key(0), 1))
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


# Whole runs.


def launched(workdir, *settings, mode="train"):
    short = ["evaluate.metrics=", "evaluate.report=False", "evaluate.nll_samples=2", "train.eval_every_epochs=1"]
    config = [f"--config={Path(__file__).parents[1]}/configs/vae.py"] if mode == "train" else []
    chosen = [*short, "network.hidden=(8,)", *settings] if mode == "train" else settings
    argv = ["launch.py", *config, f"--mode={mode}", f"--workdir={workdir}", *(f"--config.{s}" for s in chosen)]
    assert launch.main(argv, time.time()) == 0


def rows_of(workdir, split=None):
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if split in (None, row["split"])]


def checksums(workdir):
    reader = Reader(workdir / "checkpoints")
    try:
        return {step: reader.info(step)["checksums"] for step in reader.steps()}
    finally:
        reader.close()


ALL = ("train.num_epochs=3", "optimizer.ema_decay=0.9", "optimizer.skip_norm=1e6", "train.compute_dtype=bfloat16",
       "train.accumulate=2", "train.remat=True", "evaluate.checkpoint=last")  # fmt: skip


@pytest.fixture(scope="module")
def with_all(tmp_path_factory):
    """A run with every setting of this file."""
    workdir = tmp_path_factory.mktemp("all")
    launched(workdir, *ALL)
    return workdir


def test_a_run_validates_saves_and_samples_with_the_average(with_all):
    restored = restore_run(with_all, "last")
    reader = Reader(with_all / "checkpoints")
    experiment = jaxvae.experiment.setup(restored.config)
    optimizer = jaxvae.build.optimizer(restored.config, experiment.total_steps)
    init = functools.partial(train.init_state, experiment.objective, optimizer)
    template = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), jax.eval_shape(init, jax.random.key(0)))
    weights, rest = split_state(template)
    found = reader.arrays(30, weights=weights, rest=rest)
    reader.close()
    state = join_state(found["weights"], found["rest"])
    assert_same(exchanged(state.params, state.opt_state)[0], restored.weights["params"])
    validate = make_validation(experiment)
    losses = [validate(params, {}, np.int32(30))["loss"] for params in (restored.weights["params"], state.params)]
    last = rows_of(with_all, "validation")[-1]
    assert last["loss"] == pytest.approx(losses[0], rel=1e-6)
    assert abs(last["loss"] - losses[1]) > 0.05
    model, params = jaxvae.restore(with_all, "last")
    assert_same(params, restored.weights["params"]["model"])
    launched(with_all, "sample.num=4", "evaluate.checkpoint=last", mode="sample")
    key = train.streams(0)["sample"]
    drawn = np.load(with_all / "samples.npz")
    np.testing.assert_allclose(
        drawn[drawn.files[0]].reshape(4, -1), np.asarray(jaxvae.sample(model, params, key, 4)).reshape(4, -1), atol=1e-6
    )


def test_its_rows_count_the_skipped_updates(with_all, tmp_path):
    assert [row["skipped"] for row in rows_of(with_all, "train")] == [0.0] * 3
    assert not any("skipped" in row for row in rows_of(with_all, "validation"))
    launched(tmp_path, "train.num_epochs=1", "optimizer.skip_norm=1e-6")
    assert [row["skipped"] for row in rows_of(tmp_path, "train")] == [1.0]
    first, last = (sums["weights"] for sums in checksums(tmp_path).values())
    assert first == last


def test_it_goes_on_from_a_checkpoint_to_the_same_bits(with_all, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(with_all, workdir)
    expected, rows = checksums(workdir), rows_of(workdir)
    shutil.rmtree(workdir / "checkpoints/30")
    launched(workdir, *ALL)
    assert checksums(workdir) == expected
    assert [{**row, "seconds": 0} for row in rows_of(workdir)] == [{**row, "seconds": 0} for row in rows]


def test_a_run_from_before_these_settings_is_used_as_ever(tmp_path):
    default = base.get_config("").to_dict()
    assert {path: default[path.split(".")[0]][path.split(".")[1]] for path in ADDED} == ADDED
    launched(tmp_path, "train.num_epochs=1")
    results = json.loads((tmp_path / "results.json").read_text())["test"]
    config = json.loads((tmp_path / "config.json").read_text())
    for path in ADDED:
        section, _, key = path.partition(".")
        del config[section][key]
    (tmp_path / "config.json").write_text(json.dumps(config))
    before = checksums(tmp_path)
    launched(tmp_path, mode="evaluate")
    assert json.loads((tmp_path / "results.json").read_text())["test"] == results
    launched(tmp_path, "sample.num=2", mode="sample")
    jaxvae.restore(tmp_path)
    launched(tmp_path, "train.num_epochs=1")  # goes on: there is nothing left to do
    assert checksums(tmp_path) == before
    assert json.loads((tmp_path / "config.json").read_text()) == config


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.compute_dtype=float16", "Unknown value of train.compute_dtype 'float16'. Did you mean 'bfloat16'?"),
        ("train.accumulate=0", "train.accumulate is 0"),
        ("train.accumulate=5", "8 devices with train.accumulate=5"),
        ("train.remat=2", "train.remat"),
        ("optimizer.ema_decay=1", "optimizer.ema_decay is 1.0"),
        ("optimizer.skip_norm=-1", "optimizer.skip_norm is -1.0"),
    ],
)
def test_a_run_with_a_setting_out_of_its_range_is_not_started(refused, workdir, override, said):
    assert said in refused(f"--config={Path(__file__).parents[1]}/configs/vae.py", f"--config.{override}")
    assert not workdir.exists()


def test_an_objective_of_the_whole_batch_is_not_accumulated(refused, workdir):
    config = f"--config={Path(__file__).parents[1]}/configs/beta_tcvae.py"
    assert "needs the whole batch at once" in refused(config, "--config.train.accumulate=2")
    assert not workdir.exists()
