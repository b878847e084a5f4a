"""The bounds against a log p(x) that is known, and means over data that fill no batch."""

import functools
import math

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import pytest
from scipy import special

from jaxvae import losses, objectives
from jaxvae.common.errors import UserError
from jaxvae.data.load import Split
from jaxvae.metrics.likelihood import importance_nll, nll_metrics
from jaxvae.models.base import reparameterize
from jaxvae.train import validation
from jaxvae.train.sharding import global_view
from jaxvae.train.validation import mean_over

EXACT, WRONG = (0.0, 0.0), (0.4, 0.3)  # shift in posterior standard deviations, log ratio of variances
ELBO, CTX = objectives.elbo(lg.MODEL, objectives.KL_WEIGHTS["constant"]()), objectives.StepContext(0, 100)
posteriors_of_both = pytest.mark.parametrize("q", [EXACT, WRONG, (-0.2, -0.5)])


def over_keys(function, num, seed=0):
    """`function(key)` for `num` keys, `[num, ...]` in float64."""
    return np.asarray(jax.jit(jax.vmap(function))(jax.random.split(jax.random.key(seed), num)), np.float64)


def elbos(params, key):
    return ELBO.loss({"model": params}, {}, {"x": lg.X}, key, CTX).metrics["elbo"]


def nll(q, num_samples, memory_mb=8.0):
    return lambda key: importance_nll(lg.MODEL, lg.params(*q), key, lg.X, num_samples, memory_mb)


@posteriors_of_both
def test_closed_form_elbo_is_the_evidence_less_the_gap(q):
    params = lg.params(*q)
    mean, variance = lg.posterior_moments(params, lg.X)
    reconstruction = losses.gaussian_nll(mean @ params["weight"].T + params["bias"], lg.X, lg.NOISE)
    spread = jnp.sum(params["weight"] ** 2 @ variance) / lg.NOISE / 2
    kl = losses.kl_standard_normal(mean, jnp.broadcast_to(jnp.log(variance), mean.shape))
    np.testing.assert_allclose(losses.elbo(-reconstruction - spread, kl), lg.LOG_PX - lg.gap(*q), rtol=1e-5)


@posteriors_of_both
def test_sampled_elbo_is_the_evidence_less_the_gap(q, assert_mean):
    samples = over_keys(lambda key: elbos(lg.params(*q), key), 10_000)
    assert_mean(samples, lg.LOG_PX - lg.gap(*q))
    if q != EXACT:
        assert np.all(samples.mean(axis=0) + 4 * samples.std(axis=0) / 100 < lg.LOG_PX)


def test_every_weight_of_the_exact_posterior_is_the_evidence():
    out = jax.jit(lambda key: lg.MODEL.forward(lg.params(*EXACT), key, {"x": lg.X}, 1000)[5:8])(jax.random.key(0))
    log_likelihood, log_prior, log_posterior = map(np.asarray, out)
    weights = log_likelihood + log_prior - log_posterior
    np.testing.assert_allclose(weights, np.broadcast_to(lg.LOG_PX, weights.shape), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(jax.jit(nll(EXACT, 10))(jax.random.key(1)), -lg.LOG_PX, rtol=1e-5)


@pytest.mark.slow
def test_gradient_of_the_elbo_at_the_exact_posterior_is_that_of_the_evidence(assert_mean):
    gradient = jax.grad(lambda params, key: elbos(params, key).sum())
    got = jax.jit(jax.vmap(lambda key: gradient(lg.params(*EXACT), key)))(jax.random.split(jax.random.key(0), 10_000))
    residual = np.linalg.solve(lg.MARGINAL.cov, (lg.X - lg.BIAS).T)  # of the marginal N(b, C), over C
    precision = lg.BATCH * np.linalg.inv(lg.MARGINAL.cov)
    assert_mean(got["bias"], residual.sum(axis=1))
    assert_mean(got["weight"], (residual @ residual.T - precision) @ lg.WEIGHT)
    assert_mean(got["shift"], 0)
    assert_mean(got["log_ratio"], 0)


def test_importance_nll_of_many_samples_is_exact(assert_mean):
    assert_mean(over_keys(nll(WRONG, 2000), 64), -lg.LOG_PX, sigmas=3)


def test_importance_nll_of_one_sample_is_the_elbo_in_expectation(assert_mean):
    assert_mean(over_keys(nll(WRONG, 1), 10_000), lg.gap(*WRONG) - lg.LOG_PX)


@pytest.mark.slow
def test_importance_nll_falls_with_the_number_of_samples():
    estimates = [over_keys(nll(WRONG, k), 4000).mean(axis=1) for k in (1, 8)]
    for higher, lower in zip(estimates, [*estimates[1:], np.full(4000, -lg.LOG_PX.mean())], strict=True):
        fall = higher - lower
        assert fall.mean() > 4 * fall.std() / np.sqrt(len(fall))


@functools.cache
def weights_of_samples(num):
    def weight(k):
        posterior = lg.MODEL.encode(lg.params(*WRONG), lg.X)
        z = reparameterize(jax.random.fold_in(jax.random.key(3), k), posterior)
        log_joint = lg.MODEL.decode(lg.params(), z).log_prob(lg.X) + lg.MODEL.prior({}).log_prob(z)
        return log_joint - posterior.log_prob(z)

    one = jax.jit(weight)
    return np.stack([np.asarray(one(k), np.float64) for k in range(num)])


# Below 1, a chunk is a part of the batch.
@pytest.mark.parametrize(("num_samples", "chunk"), [(1, 1), (7, 1), (7, 100), (13, 5), (13, 13), (7, 0), (7, -0.3)])
def test_chunks_change_nothing_but_rounding(num_samples, chunk):
    expected = np.log(num_samples) - special.logsumexp(weights_of_samples(13)[:num_samples], axis=0)
    memory_mb = (chunk + 0.5) * lg.X.size * 4 / 1e6
    np.testing.assert_allclose(jax.jit(nll(WRONG, num_samples, memory_mb))(jax.random.key(3)), expected, rtol=1e-5)


@pytest.mark.parametrize("rows", [0.5, 1, 2, 3, 7, 8, 20, 1000])
def test_memory_bounds_what_is_decoded_at_a_time(rows):
    """Of a batch of 8 examples: one at least, the batch or an equal part of it, or several samples of the batch."""
    decoded = []

    def decode(params, z):
        decoded.append(math.prod(z.shape[:-1]))
        return lg.MODEL.decode(params, z)

    x = jnp.concatenate([lg.X, lg.X])
    memory_mb = rows * 4 * x[0].size / 1e6
    arguments = (lg.MODEL._replace(decode=decode), lg.params(), jax.random.key(0), x, 100, memory_mb)
    jax.eval_shape(lambda: importance_nll(*arguments))
    assert max(decoded) == {0.5: 1, 1: 1, 2: 2, 3: 2, 7: 4, 8: 8, 20: 16, 1000: 800}[rows]


@pytest.mark.parametrize(("has_likelihood", "num_samples", "message"), [(False, 5, "densities"), (True, 0, "is 0")])
def test_importance_nll_refuses_what_has_no_meaning(has_likelihood, num_samples, message):
    model = lg.MODEL._replace(latent=lg.MODEL.latent._replace(is_density=has_likelihood))
    with pytest.raises(UserError, match=message):
        importance_nll(model, lg.params(), jax.random.key(0), lg.X, num_samples)


def statistics(scale, key, batch):
    noise = jax.random.normal(key, batch["x"].shape[:1])
    return {"sum": scale * batch["x"].sum(axis=-1), "label": batch["label"] * 1.0, "noise": noise}


@functools.cache
def means_over(num, batch_size, num_devices):
    """The means, and those of the arrays themselves."""
    rng = np.random.default_rng(num)
    split = Split(rng.normal(size=(num, 3)).astype(np.float32), rng.integers(10, size=num))
    got = mean_over(split, statistics, global_view(jax.devices()[:num_devices]), jax.random.key(0), batch_size)
    assert got(2.0) == got(2.0)
    return got(2.0), {"sum": 2 * split.x.astype(np.float64).sum(axis=1).mean(), "label": split.label.mean()}


@pytest.mark.parametrize("num_devices", [1, 3, 8])
@pytest.mark.parametrize(("num", "batch_size"), [(37, 960), (48, 24), (150, 48)])
def test_mean_over_ragged_data_is_the_plain_mean_on_any_number_of_devices(num, batch_size, num_devices):
    got, exact = means_over(num, batch_size, num_devices)
    exact["noise"] = means_over(num, batch_size, 1)[0]["noise"]
    assert got == pytest.approx(exact, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(("num", "batch_size"), [(144, 1024), (359, 1024), (150, 64)])
def test_no_row_is_twice_in_a_batch_whose_statistic_it_would_distort(num, batch_size):
    def repeated(key, batch):
        sorted_rows = jnp.sort(batch["label"])
        return {"repeated": jnp.full(len(sorted_rows), jnp.sum(sorted_rows[1:] == sorted_rows[:-1]), jnp.float32)}

    split = Split(np.zeros((num, 1), np.float32), np.arange(num))
    assert mean_over(split, repeated, global_view(), jax.random.key(0), batch_size)()["repeated"] == 0


def test_mean_over_draws_new_noise_for_each_batch():
    def difference(key, batch):  # of the sums of two batches: exactly 0 if their noise were the same
        return {"difference": jax.random.normal(key, (64,)) * jnp.where(batch["label"] < 64, 1.0, -1.0)}

    split = Split(np.zeros((128, 1), np.float32), np.arange(128))
    assert abs(mean_over(split, difference, global_view(), jax.random.key(0), 64)()["difference"]) > 1e-3


def test_mean_over_needs_a_batch_that_the_devices_can_share():
    for batch_size in (0, 12):
        with pytest.raises(UserError, match=f"batch_size is {batch_size}.*8"):
            mean_over(Split(lg.X), statistics, global_view(), jax.random.key(0), batch_size)


def test_metrics_of_stored_values_are_those_of_the_preprocessed():
    params, batch = lg.params(*EXACT), {"x": 4 * lg.X}
    nll_of_stored = jax.jit(lambda key: nll_metrics(lg.MODEL, lambda _, x: x / 4, 10, 8.0, params, key, batch))
    np.testing.assert_allclose(nll_of_stored(jax.random.key(0))["nll"], -lg.LOG_PX, rtol=1e-5)

    def loss(params, extra, batch, key, ctx):
        metrics = {"per example": batch["x"][:, 0], "whole batch": batch["x"].sum(), "ctx": ctx.step + ctx.train_size}
        return objectives.Loss({}, metrics, extra)

    objective = ELBO._replace(loss=loss)
    got = validation.objective_metrics(objective, lambda _, x: x / 4, 100, params, {}, 3, jax.random.key(0), batch)
    for name, expected in (("per example", lg.X[:, 0]), ("whole batch", [lg.X.sum()] * 4), ("ctx", [103] * 4)):
        np.testing.assert_allclose(got[name], expected, rtol=1e-5)
        assert got[name].shape == (lg.BATCH,)
