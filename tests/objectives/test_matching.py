"""Distances between samples against loops and closed forms, and the objectives made of them."""

import jax
import jax.numpy as jnp
import numpy as np
import objective_tools as tools
import pytest

from jaxvae import likelihoods, posteriors
from jaxvae.common.errors import UserError
from jaxvae.objectives import KL_WEIGHTS, mmd, sliced_wasserstein

RNG = np.random.default_rng(2)
KERNELS = {
    "rbf": lambda squared, c: np.exp(-squared / c),
    "imq": lambda squared, c: sum(s * c / (s * c + squared) for s in (0.1, 0.2, 0.5, 1, 2, 5, 10)),
}


def slow_mmd(x, y, kernel, variance):
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)

    def k(a, b):
        return KERNELS[kernel](((a - b) ** 2).sum(), 2 * len(a) * variance)

    def within(points):
        n = len(points)
        pairs = [k(points[i], points[j]) for i in range(n) for j in range(n) if i != j]
        return sum(pairs) / (n * (n - 1))

    return within(x) + within(y) - 2 * np.mean([k(a, b) for a in x for b in y])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("variance", [1.0, 0.3])
def test_mmd_is_the_double_loop(kernel, variance):
    x, y = RNG.normal(size=(7, 3)).astype(np.float32), (0.5 + 2 * RNG.normal(size=(5, 3))).astype(np.float32)
    np.testing.assert_allclose(mmd(x, y, kernel, variance), slow_mmd(x, y, kernel, variance), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_mmd_of_equal_distributions_is_zero_on_average_and_of_others_above(kernel, assert_mean):
    def draw(key):
        x, y = jax.random.normal(key, (2, 6, 3))
        return mmd(x, y, kernel), mmd(x, y + 1.0, kernel), mmd(x, 2 * y, kernel)

    equal, moved, wider = jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(0), 3000))
    assert_mean(equal, 0)
    assert moved.mean() > 0.05
    assert wider.mean() > 0.02


def test_rbf_mmd_of_gaussians_is_its_closed_form(assert_mean):
    def draw(key):
        x, y = jax.random.normal(key, (2, 6, 2))
        return mmd(x, y + 1.0, "rbf")

    # E exp(-|d|^2 / c) for d ~ N(m, 2 I) in 2 dimensions, c = 4, is exp(-|m|^2 / (c + 4)) (c / (c + 4))
    expected = 2 * 0.5 - 2 * 0.5 * np.exp(-2 / 8)
    assert_mean(jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(1), 3000)), expected)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_gradient_of_mmd_is_finite_where_all_points_are_one(kernel):
    gradient = jax.grad(lambda x: mmd(x, jnp.ones((3, 2)), kernel))(100 * jnp.ones((4, 2)))
    assert np.all(np.isfinite(gradient))


def test_sliced_wasserstein_of_a_shift_is_its_closed_form(assert_mean):
    x, shift = RNG.normal(size=(6, 3)).astype(np.float32), np.array([1.0, -2.0, 0.5], np.float32)
    keys = jax.random.split(jax.random.key(0), 2000)
    got = jax.jit(jax.vmap(lambda key: sliced_wasserstein(key, x, x + shift, 2)))(keys)
    assert_mean(got, (shift**2).sum() / 3)  # E <shift, theta>^2 on the sphere
    assert got.std() > 0


def test_sliced_wasserstein_does_not_know_the_order_of_the_samples():
    x, y = RNG.normal(size=(2, 6, 3)).astype(np.float32)
    values = [sliced_wasserstein(jax.random.key(0), x, y[order], 7) for order in (slice(None), [3, 1, 0, 5, 2, 4])]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5)
    np.testing.assert_allclose(sliced_wasserstein(jax.random.key(0), x, x[::-1], 7), 0, atol=1e-9)
    one = sliced_wasserstein(jax.random.key(0), x[:, :1], y[:, :1], 4)  # in one dimension every direction is the same
    np.testing.assert_allclose(one, np.mean((np.sort(x[:, 0]) - np.sort(y[:, 0])) ** 2), rtol=1e-5)


def test_sliced_wasserstein_of_gaussians_is_that_of_their_quantiles(assert_mean):
    def draw(key):
        key, direction = jax.random.split(key)
        x, y = jax.random.normal(key, (2, 2000, 2))
        return sliced_wasserstein(direction, x, 3 * y + 2, 8)

    got = np.asarray(jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(3), 30)))
    expected = (3 - 1) ** 2 + 8 / 2  # W2 of N(0, 1) and N(m, 9) is (3 - 1)^2 + m^2, and E m^2 = |(2, 2)|^2 / 2
    assert abs(got.mean() - expected) < 0.05 + 4 * got.std() / len(got) ** 0.5


MODELS = {
    "delta": lambda: tools.small(likelihoods.squared_error, posteriors.delta),
    "diagonal_gaussian": tools.small,
    "gumbel_softmax": lambda: tools.gumbel_model(straight_through=True),
}
OPTIONS = {"wae_mmd": {"weight": 7.0}, "swae": {"weight": 7.0}, "info_vae": {"alpha": 0.5, "lambda_": 4.0}}
METRIC = {"wae_mmd": "mmd", "swae": "sliced_wasserstein", "info_vae": "mmd"}


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n in OPTIONS for k in MODELS if (n, k) != ("info_vae", "delta")])
def test_the_loss_is_reconstruction_and_the_weighted_distance(name, kind, random_like):
    model = MODELS[kind]()
    params = {"model": random_like(model.init, jax.random.key(0))}
    objective = tools.make(name, model, KL_WEIGHTS["constant"](3.0), **OPTIONS[name])
    metrics = tools.evaluate(objective, params).metrics
    assert metrics[METRIC[name]].shape == ()
    kl = 0.5 * 3 * metrics["kl"] if name == "info_vae" else 0
    factor = 4 + 0.5 - 1 if name == "info_vae" else 7
    expected = metrics["reconstruction"] + kl + factor * metrics[METRIC[name]]
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-5)
    assert objective.whole_batch


def test_the_distance_is_of_the_latents_and_the_priors_samples(random_like):
    model = tools.gumbel_model(straight_through=True)  # latents of shape [2, 3]
    params = {"model": random_like(model.init, jax.random.key(0))}
    metrics = tools.evaluate(tools.make("wae_mmd", model, kernel="rbf", variance=0.5), params).metrics
    terms_key = jax.random.split(jax.random.key(1))[0]
    pass_key, prior_key, _ = jax.random.split(terms_key, 3)
    out = model.forward(params["model"], pass_key, {"x": tools.X})
    z, prior_z = out.z[0].reshape(5, 6), out.prior.sample(prior_key, (5,)).reshape(5, 6)
    np.testing.assert_allclose(metrics["mmd"], slow_mmd(z, prior_z, "rbf", 0.5), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["wae_mmd", "swae"])
def test_the_distance_moves_the_encoder(name, random_like):
    model = MODELS["delta"]()
    params = {"model": random_like(model.init, jax.random.key(0))}
    objective = tools.make(name, model)

    def distance(params):
        loss = objective.loss(params, {}, {"x": tools.X}, jax.random.key(1), tools.CTX)
        return loss.metrics[METRIC[name]]

    gradient = jax.jit(jax.grad(distance))(params)["model"]
    assert np.abs(gradient["encoder"]["Dense_0"]["kernel"]).max() > 1e-4
    assert all(not leaf.any() for leaf in jax.tree.leaves(gradient["decoder"]))


def test_a_learned_prior_follows_the_kl_alone(random_like):
    model = tools.mixture_model()
    params = {"model": random_like(model.init, jax.random.key(0))}
    loss = tools.make("info_vae", model, kl_estimate="monte_carlo").loss

    def metric(name, params):
        return jnp.mean(loss(params, {}, {"x": tools.X}, jax.random.key(1), tools.CTX).metrics[name])

    for name, moves in (("mmd", False), ("kl", True)):
        gradient = jax.jit(jax.grad(lambda p, name=name: metric(name, p)))(params)["model"]["prior"]
        assert np.any(np.asarray(gradient["mean"])) == moves


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [("info_vae", {"alpha": 1.1}, "alpha=1.1"), ("info_vae", {"alpha": -1.0, "lambda_": 1.0}, "lambda_=1.0"),
     ("info_vae", {"lambda_": float("nan")}, "lambda_=nan"), ("info_vae", {"kernel": "rfb"}, "Did you mean 'rbf'"),
     ("wae_mmd", {"kernel": "linear"}, "Unknown kernel"), ("wae_mmd", {"variance": 0.0}, "variance=0.0"),
     ("wae_mmd", {"weight": -1.0}, "weight is -1"), ("swae", {"weight": -1.0}, "weight is -1"),
     ("swae", {"num_projections": 0}, "num_projections is 0"), ("info_vae", {"kl_estimate": "mc"}, "kl_estimate 'mc'")],
)  # fmt: skip
def test_bad_options_are_refused(name, options, message):
    with pytest.raises(UserError, match=message):
        tools.make(name, tools.small(), **options)


@pytest.mark.parametrize(
    ("name", "model", "options", "message"),
    [("wae_mmd", tools.mixture_model, {}, "'wae_mmd' sees the prior by its samples"),
     ("swae", tools.mixture_model, {}, "'swae' sees the prior by its samples"),
     ("info_vae", tools.mixture_model, {"alpha": 1.0}, "'info_vae' sees the prior by its samples"),
     ("info_vae", tools.mixture_model, {}, "kl_estimate=monte_carlo"),
     ("info_vae", MODELS["delta"], {}, "infinite"), ("info_vae", tools.gumbel_model, {}, "straight_through=True"),
     ("wae_mmd", tools.gumbel_model, {}, "straight_through=True"),
     ("swae", tools.gumbel_model, {}, "straight_through=True")],
)  # fmt: skip
def test_models_that_the_mathematics_forbids_are_refused(name, model, options, message):
    with pytest.raises(UserError, match=message):
        tools.trace(tools.make(name, model(), **options))


def test_one_sample_has_no_unbiased_mmd():
    with pytest.raises(UserError, match="2 samples"):
        mmd(jnp.zeros((1, 2)), jnp.zeros((3, 2)))
    with pytest.raises(AssertionError):
        mmd(jnp.zeros((3, 1)), jnp.zeros((3, 2)))
    with pytest.raises(AssertionError):
        sliced_wasserstein(jax.random.key(0), jnp.zeros((3, 2)), jnp.zeros((4, 2)))
