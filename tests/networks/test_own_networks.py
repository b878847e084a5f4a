"""Networks of one's own: running statistics as state, and dropout in training alone."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from normed_networks import BATCHES, MOMENTUM, RNG, Normed, Plain, elbo, model_of, network, stepper
from slow_cases import fast

from jaxvae import objectives
from jaxvae.common.errors import UserError
from jaxvae.experiment import build
from jaxvae.models.base import encoded
from jaxvae.models.coder import STATE
from jaxvae.models.context import given
from jaxvae.networks import Network
from jaxvae.networks.precision import computed
from jaxvae.objectives import StepContext
from jaxvae.train import sharding
from jaxvae.train.gradients import check_accumulate
from jaxvae.train.validation import objective_metrics


def running(batches, start, moment):
    """The running average of a moment of each batch."""
    for batch in batches:
        start = MOMENTUM * start + (1 - MOMENTUM) * moment(batch.astype(np.float64), axis=0)
    return start


@pytest.fixture(scope="module")
def trained():
    model = model_of(network())
    state, step = stepper(elbo(model))
    return model, jax.device_get(jax.jit(lambda s: jax.lax.scan(step, s, {"x": BATCHES}))(state)[0]), state


def test_running_statistics_are_numpys(trained):
    _, state, start = trained
    stats = state.extra["model"][STATE]["encoder"]["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(stats["mean"], running(BATCHES, np.zeros(6), np.mean), rtol=1e-5)
    np.testing.assert_allclose(stats["var"], running(BATCHES, np.ones(6), np.var), rtol=1e-5)
    assert state.params["model"].keys() == {"encoder", "decoder"}
    assert state.params["model"]["encoder"].keys() == {"BatchNorm_0", "Dense_0"}
    assert start.extra.keys() == {"model"}
    assert start.extra["model"][STATE].keys() == {"encoder"}  # the decoder has none


def test_evaluation_uses_the_running_statistics_and_training_those_of_the_batch(trained):
    model, state, _ = trained
    params = elbo(model).model_params(state.params, state.extra)
    own, stats = params["encoder"], params[STATE]["encoder"]["batch_stats"]["BatchNorm_0"]

    def moments(x, mean, variance):
        x = (x - mean) / np.sqrt(variance + 1e-5) * own["BatchNorm_0"]["scale"] + own["BatchNorm_0"]["bias"]
        return np.split(x @ own["Dense_0"]["kernel"] + own["Dense_0"]["bias"], 2, axis=-1)

    x = BATCHES[0]

    @jax.jit
    def run(params, key):
        in_training, following = encoded(model, params, {"x": x}, key)
        alone = model.encode(params, x[:3]).mean
        got = model.encode(params, x)
        return got.mean, got.variance, alone, in_training.mean, following

    got, variance, alone, in_training, following = run(params, jax.random.key(0))
    mean, logvar = moments(x, stats["mean"], stats["var"])
    np.testing.assert_allclose(got, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(variance, np.exp(logvar), rtol=1e-4)
    np.testing.assert_allclose(alone, got[:3], rtol=1e-5)  # each for itself
    np.testing.assert_allclose(in_training, moments(x, x.mean(axis=0), x.var(axis=0))[0], rtol=1e-3, atol=1e-5)
    assert following.keys() == {"encoder"}


def test_validation_changes_no_state(trained):
    model, state, _ = trained
    loss = elbo(model).loss
    ctx = StepContext(jnp.zeros((), jnp.int32), 8)
    key = jax.random.key(0)
    extra = jax.jit(lambda params, extra: loss(params, extra, {"x": BATCHES[0]}, key, ctx).extra)(*state[1:4:2])
    jax.tree.map(np.testing.assert_array_equal, extra, state.extra)


def test_validation_draws_no_dropout():
    objective = elbo(model_of(network(rate=0.9)))
    params, extra = jax.jit(objective.init)(jax.random.key(0))

    @jax.jit
    def measure(key):
        step = jnp.zeros((), jnp.int32)
        return objective_metrics(objective, lambda key, x: x, 8, params, extra, step, key, {"x": BATCHES[0]})

    one, other = (measure(jax.random.key(seed)) for seed in (0, 1))
    np.testing.assert_array_equal(one["kl"], other["kl"])
    assert np.any(one["reconstruction"] != other["reconstruction"])  # z is drawn


def test_dropout_is_drawn_anew_in_each_pass_of_training_and_never_in_evaluation():
    class Ones(nn.Module):
        out_shape: tuple[int, ...]

        @nn.compact
        def __call__(self, x, is_training=False):
            ones = jnp.ones((len(x), *self.out_shape))
            return nn.Dropout(0.5, deterministic=not is_training)(ones)

    model = model_of(Network(lambda _, num: Ones((num,)), lambda _, shape: Ones(shape)))
    x = np.zeros((200, 6), np.float32)
    assert jax.eval_shape(model.init, jax.random.key(0)) == {}
    assert jax.eval_shape(model.state.init, jax.random.key(0)) == {}
    assert model.state.whole_batch == ""

    @jax.jit
    def evaluation(key):
        out = model.forward({}, key, {"x": x})
        return out.posterior.mean, out.likelihood.mean, model.decode({}, jnp.zeros((3, 5, 2))).mean

    p = jax.nn.sigmoid(1.0)
    for found, value, shape in zip(
        evaluation(jax.random.key(0)), (1, p, p), ((200, 2), (1, 200, 6), (3, 5, 6)), strict=True
    ):
        np.testing.assert_array_equal(found, np.full(shape, value, np.float32))

    @jax.jit
    def training(key):
        out = model.forward({}, key, {"x": x}, is_training=True)
        return out.posterior.mean, 2 * (out.likelihood.mean[0] > 0.6)

    (mean, logits), again, other = (training(jax.random.key(seed)) for seed in (0, 0, 1))
    assert set(np.unique(mean)) == set(np.unique(logits)) == {0, 2}
    assert abs(np.mean(mean) - 1) < 4 / 400**0.5
    np.testing.assert_array_equal(mean, again[0])
    assert np.any(mean != other[0])
    assert np.any(logits != other[1])
    assert np.any(np.asarray(mean)[:, :2] != np.asarray(logits)[:, :2])  # two networks, two draws


def test_dropout_differs_between_steps():
    model = model_of(network(rate=0.5))
    (state, step), x = stepper(elbo(model)), BATCHES[0]
    run = jax.jit(lambda i: step(state._replace(step=i), {"x": x})[1]["reconstruction"])
    assert run(0) == run(0) != run(1)


@pytest.mark.parametrize("name", fast(["iwae", "dreg", "piwae", "dip_vae", "info_vae"], "iwae"))
def test_every_way_through_the_model_updates_the_state(name):
    builder, options = {
        "iwae": (objectives.iwae, {"num_samples": 2}),
        "dreg": (objectives.iwae, {"num_samples": 2, "gradient": "dreg"}),
        "piwae": (objectives.piwae, {"num_bounds": 2, "num_samples": 2}),
        "dip_vae": (objectives.dip_vae, {}),
        "info_vae": (objectives.info_vae, {}),
    }[name]
    objective = builder(model_of(network(decoder=Normed)), objectives.KL_WEIGHTS["constant"](), **options)
    state, step = stepper(objective)
    after = jax.jit(step)(state, {"x": BATCHES[0]})[0].extra["model"][STATE]
    stats = after["encoder"]["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(stats["mean"], running(BATCHES[:1], np.zeros(6), np.mean), rtol=1e-5)
    assert np.all(after["decoder"]["batch_stats"]["BatchNorm_0"]["mean"] != 0)


def test_what_follows_the_whole_batch_says_so():
    plain, normed = model_of(network(decoder=Plain)), elbo(model_of(network()))
    assert (
        elbo(plain).whole_batch
        == normed.whole_batch
        == "its networks have state (batch_stats) that follows the whole batch"
    )
    with pytest.raises(UserError, match=r"train\.accumulate is 2, but this objective needs the whole batch"):
        check_accumulate(2, 8, 1, normed.whole_batch)
    with pytest.raises(UserError, match=r"Run it with --config\.parallel=jit"):
        sharding.make_parallel("pmap", 8, normed.whole_batch)
    stateless = Network(lambda _, num: Plain((num,)), lambda _, shape: Plain(shape))
    assert elbo(model_of(stateless)).whole_batch == ""


@pytest.mark.slow
def test_devices_average_over_the_whole_batch():
    found = []
    for devices in (jax.devices()[:1], jax.devices()):
        parallel = sharding.global_view(devices)
        state, step = stepper(elbo(model_of(network())))
        many = parallel.compile(lambda state, _, batches, step=step: jax.lax.scan(step, state, batches))
        state, _ = many(parallel.replicate(state), parallel.replicate({}), parallel.shard({"x": BATCHES}))
        found.append(jax.device_get((state.params, state.extra)))
    assert len(jax.devices()) == 8
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), *found)


def test_members_of_a_population_have_their_own_state(trained):
    model, *_ = trained
    state, step = stepper(elbo(model))
    states = [state, state._replace(params=jax.tree.map(lambda leaf: 0.5 * leaf, state.params))]
    batches = {"x": np.stack([BATCHES[0], BATCHES[1]])}
    both = jax.jit(jax.vmap(step))(jax.tree.map(lambda *leaves: jnp.stack(leaves), *states), batches)[0]
    for i in range(2):
        alone = jax.jit(step)(states[i], {"x": batches["x"][i]})[0]
        member = jax.tree.map(lambda leaf: leaf[i], both)  # noqa: B023
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), member, alone)


def test_with_a_moving_average_of_the_parameters_the_statistics_are_the_same(trained):
    model, plain, _ = trained
    optimizer = build.optimizer({"optimizer": {"name": "sgd", "learning_rate": 1e-2, "ema_decay": 0.9,
                                               "schedule": {"name": "constant"}}}, elbo(model), 4)  # fmt: skip
    state, step = stepper(elbo(model), optimizer)
    state = jax.jit(lambda s: jax.lax.scan(step, s, {"x": BATCHES}))(state)[0]
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), state.extra, plain.extra)


@pytest.mark.parametrize("remat", fast([False, True], True))
def test_in_bfloat16_the_statistics_stay_float32(remat):
    model = model_of(computed(network(rate=0.3), "bfloat16", remat))
    state, step = stepper(elbo(model))
    after = jax.jit(step)(state, {"x": BATCHES[0]})[0]
    stats = after.extra["model"][STATE]["encoder"]["batch_stats"]["BatchNorm_0"]
    assert {leaf.dtype for leaf in jax.tree.leaves((after.params, stats))} == {np.dtype("f4")}
    np.testing.assert_allclose(stats["mean"], running(BATCHES[:1], np.zeros(6), np.mean), rtol=1e-2)


def test_a_conditional_model_gives_its_networks_the_context():
    def flat(shape):
        return Normed((shape[0],))

    model = model_of(Network(lambda _, num: flat((num,)), lambda _, shape: flat(shape)), context_dim=3)
    context = RNG.normal(size=3).astype(np.float32)
    one = given(model, context)

    @jax.jit
    def run(key):
        params = {**model.init(key), **model.state.init(jax.random.fold_in(key, 1))}
        whole = model.encode(params, BATCHES[0], jnp.broadcast_to(context, (8, 3))).mean
        mean, state = one.encode(params, BATCHES[0]).mean, one.training.encode(params, key, BATCHES[0])[1]
        noisy = one.training.decode(params, jax.random.fold_in(key, 2), jnp.zeros((4, 2)))[0].mean
        return params, whole, mean, state, one.decode(params, jnp.zeros((5, 4, 2))).mean, noisy

    params, whole, mean, state, decoded, noisy = run(jax.random.key(0))
    assert params["encoder"]["Dense_0"]["kernel"].shape == (9, 4)
    np.testing.assert_allclose(mean, whole, rtol=1e-6)
    stats = state["encoder"]["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(stats["mean"][6:], (1 - MOMENTUM) * context, rtol=1e-5)
    assert (decoded.shape, noisy.shape) == ((5, 4, 6), (4, 6))
