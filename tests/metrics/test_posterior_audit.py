"""The audit of a posterior, on a linear and Gaussian model whose p(z|x) is known: right, and wrong where q(z|x) is."""

import math

import jax
import jax.numpy as jnp
import linear_at_context as at_context
import linear_gaussian as lg
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import jaxvae
from jaxvae.common.errors import UserError
from jaxvae.distributions.spaces import CODES
from jaxvae.metrics.amortization import amortization_gap, summary
from jaxvae.metrics.posterior_calibration import judge_ranks, ranks
from jaxvae.metrics.predictive_checks import STATISTICS, judge_replicates, replicate
from jaxvae.models.facts import Latent

NARROW, WIDE, SHIFTED = (0.0, math.log(0.25)), (0.0, math.log(4.0)), (0.8, 0.0)  # shift, log of the ratio of variances


def gap_of(q, model=lg.MODEL, x=lg.X, **options):
    return jax.jit(lambda key: amortization_gap(model, lg.params(*q), key, x, **options))(jax.random.key(0))


def test_the_exact_posterior_has_no_gap():
    found = gap_of((0.0, 0.0), num_judged=32)
    np.testing.assert_allclose(found.amortization, 0, atol=1e-4)
    np.testing.assert_allclose(found.refined_elbo, lg.LOG_PX, rtol=1e-5)
    np.testing.assert_allclose(found.approximation, 0, atol=1e-4)


@pytest.mark.parametrize("q", [NARROW, (0.4, 0.3), (2.0, -2.0)])
def test_the_gap_of_another_gaussian_is_its_kl(q):
    """The refined ELBO is log p(x), without noise; the one before is a mean over 256 draws."""
    found = gap_of(q)
    np.testing.assert_allclose(found.refined_elbo, lg.LOG_PX, atol=2e-3)
    np.testing.assert_allclose(found.log_likelihood, lg.LOG_PX, atol=1e-3)
    ratio, shift = np.exp(q[1]), q[0]
    variance = lg.LATENT * ((ratio - 1) ** 2 / 2 + shift**2 * ratio)  # of log q(z|x) - log p(z|x) under q
    np.testing.assert_allclose(found.amortization, lg.gap(*q), atol=4 * math.sqrt(variance / 256) + 2e-3)
    assert summary(found)["gap"] == pytest.approx(lg.gap(*q), abs=4 * math.sqrt(variance / 256) + 2e-3)
    assert np.all(found.pareto_k < 0.5)


CORRELATED = lg.MODEL._replace(decode=lambda params, z, context=None: lg.MODEL.decode(params, z @ MIX.T, context))
MIX = np.array([[1.0, 3.0, 0.0], [0.0, 1.0, 2.0], [0.0, 0.0, 1.0]], np.float32)


def log_evidence():
    weight = lg.WEIGHT @ MIX
    return stats.multivariate_normal(lg.BIAS, weight @ weight.T + lg.NOISE * np.eye(lg.DATA)).logpdf(lg.X)


@pytest.mark.slow
def test_a_full_covariance_is_refined_to_the_posterior_and_a_diagonal_one_keeps_an_approximation_gap():
    def encode(params, x, context=None):
        mean, variance = lg.posterior_moments(params, x)
        return dist.MultivariateNormal(mean, jnp.broadcast_to(jnp.diag(variance), (*x.shape[:-1], 3, 3)))

    full = gap_of((0.0, 0.0), CORRELATED._replace(encode=encode), num_judged=64)
    np.testing.assert_allclose(full.refined_elbo, log_evidence(), atol=5e-3)
    diagonal = gap_of((0.0, 0.0), CORRELATED)
    precision = np.eye(3) + MIX.T @ (lg.WEIGHT.T @ lg.WEIGHT) @ MIX / lg.NOISE
    best = (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1]) / 2  # KL of the best diagonal Gaussian
    assert best > 0.1
    np.testing.assert_allclose(log_evidence() - diagonal.refined_elbo, best, atol=0.15)
    assert float(diagonal.approximation.mean()) == pytest.approx(best, abs=0.1)


@pytest.mark.slow
def test_the_gap_is_at_the_context_and_of_observed_values():
    moved = gap_of((0.4, 0.3), at_context.MODEL, at_context.X, context=at_context.BOTH, num_steps=50, num_judged=21)
    np.testing.assert_allclose(moved.refined_elbo, lg.MARGINAL.logpdf(at_context.X - at_context.BOTH @ at_context.TO_X),
                               atol=0.02)  # fmt: skip


def judged(q, model=lg.MODEL, num=2000, **given):
    found = jax.jit(lambda key: ranks(model, lg.params(*q), key, num, **given))(jax.random.key(0))
    return judge_ranks(np.asarray(found))


def test_ranks_of_the_exact_posterior_are_uniform():
    found = judged((0.0, 0.0))
    assert found["p_value"] > 0.01
    assert found["dimensions_rejected"] == 0
    assert found["rank_variance"] == pytest.approx(1, abs=4 * math.sqrt(0.8 / 6000))  # of the square of a uniform
    assert abs(found["shift"]) < 4 / math.sqrt(12 * 2000)
    assert np.sum(found["counts"], axis=1).tolist() == [2000] * lg.LATENT
    low, high = found["band"]
    assert np.mean((np.array(found["counts"]) < low) | (np.array(found["counts"]) > high)) < 0.1


@pytest.mark.parametrize(("q", "sign"), [(NARROW, 1), (WIDE, -1)])
def test_a_posterior_of_another_width_is_caught_by_its_ranks(q, sign):
    found = judged(q)
    assert found["p_value"] < 1e-10
    assert found["dimensions_rejected"] == lg.LATENT
    assert sign * (found["rank_variance"] - 1) > 0.3
    assert abs(found["shift"]) < 0.05


def test_a_posterior_beside_the_truth_is_caught_by_the_shift_of_its_ranks():
    """The rank is the normal distribution function at a draw of N(-0.8, 1), with the mean Phi(-0.8 / sqrt(2))."""
    found = judged(SHIFTED)
    assert found["p_value"] < 1e-10
    expected = stats.norm.cdf(-0.8 / math.sqrt(2)) - 0.5
    assert found["shift"] == pytest.approx(expected, abs=4 * 0.3 / math.sqrt(2000) + 0.01)


def test_ranks_are_at_contexts():
    context = np.tile(at_context.BOTH, (500, 1))
    assert judged((0.0, 0.0), at_context.MODEL, context=context)["p_value"] > 0.01
    blind = at_context.MODEL._replace(encode=lambda params, x, context: lg.MODEL.encode(params, x))
    assert judged((0.0, 0.0), blind, context=context)["p_value"] < 1e-10


@pytest.mark.parametrize(
    ("latent", "message"),
    [
        (Latent((3,), is_density=False), r"its q\(z\|x\) is a point"),
        (Latent((3,), CODES), "its z are codes, which have no order"),
    ],
)
def test_ranks_need_draws_of_a_continuous_z(latent, message):
    with pytest.raises(UserError, match=message):
        ranks(lg.MODEL._replace(latent=latent), lg.params(), jax.random.key(0), 5)


def test_too_few_examples_or_bins_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="20 bins of ranks need at least 100 examples; there are 99"):
        judge_ranks(np.zeros((99, 2), int))
    with pytest.raises(UserError, match="7 bins do not divide the 100 ranks"):
        judge_ranks(np.zeros((500, 2), int), num_bins=7)


def checked(x, **options):
    """Results of the checks at the exact posterior."""
    found = jax.jit(lambda key: replicate(lg.MODEL, lg.params(), key, x, **options))(jax.random.key(0))
    return judge_replicates(jax.device_get(found))


def data(noise=lg.NOISE, num=400, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num, lg.LATENT)) @ lg.WEIGHT.T + lg.BIAS
    return (x + math.sqrt(noise) * rng.normal(size=x.shape)).astype(np.float32)


def test_data_of_the_model_passes_the_checks():
    found = checked(data())
    assert found["p_value"] > 0.05
    assert {f"{name}_p" for name in [*STATISTICS, "discrepancy"]} < found.keys()
    entropy = lg.DATA * (math.log(2 * math.pi * lg.NOISE) + 1) / 2
    assert found["discrepancy_replicated"] == pytest.approx(entropy, abs=4 * math.sqrt(lg.DATA / 2 / 400))
    assert (found["zeros"], found["zeros_replicated"], found["zeros_p"]) == (0, 0, 0.5)  # ties count by half


@pytest.mark.slow
def test_p_values_of_the_discrepancy_are_uniform_for_data_of_the_model():
    @jax.jit
    def pairs(x):
        return replicate(lg.MODEL, lg.params(), jax.random.key(0), x, 49, statistics={})["discrepancy"]

    p_values = [judge_replicates({"d": pairs(data(num=20, seed=seed))})["d_p"] for seed in range(100)]
    assert 0.3 < np.mean(p_values) < 0.7
    assert np.std(p_values) > 0.05  # data is used twice, so that they are nearer to 1/2 than uniform ones


@pytest.mark.parametrize("noise", [0.5 * lg.NOISE, 2 * lg.NOISE])
def test_data_of_another_noise_is_caught(noise):
    found = checked(data(noise))
    assert found["p_value"] < 0.05
    p = found["discrepancy_p"]
    assert p < 0.005 if noise > lg.NOISE else p > 0.995
    assert (found["discrepancy"] > found["discrepancy_replicated"]) == (noise > lg.NOISE)


def test_statistics_of_ones_own_and_missing_values():
    x, mask = data(num=50), np.random.default_rng(1).random((50, lg.DATA)) < 0.5
    model = lg.MODEL._replace(encode=lambda params, x, context=None, mask=None: lg.MODEL.encode(params, x))

    def found(x):
        count = {"count": lambda x, seen: jnp.sum(seen), **STATISTICS}
        return jax.jit(lambda: replicate(model, lg.params(), jax.random.key(0), x, 5, count, mask=mask))()

    plain, other = found(x), found(np.where(mask, x, 0).astype(np.float32))
    assert float(plain["count"][1][0]) == mask.sum()
    assert float(plain["mean"][0][0]) == pytest.approx(x[mask].mean(), abs=1e-5)
    assert float(plain["deviation"][0][0]) == pytest.approx(x[mask].std(), abs=1e-5)
    assert float(plain["largest"][0][0]) == pytest.approx(x[mask].max())
    assert float(plain["between_values"][0][0]) == pytest.approx(
        np.std(np.where(mask, x, 0).sum(0) / mask.sum(0)), abs=1e-5
    )
    np.testing.assert_allclose(plain["mean"][0], other["mean"][0], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["text_vae-sentences", "music_vae-melodies"])
def test_replicated_sequences_are_those_of_any_batch(name):
    run = jaxvae.load(f"zoo/{name}")
    z = jax.random.normal(jax.random.key(0), (5, *run.model.latent_shape))
    x = run.model.decode(run.params, z).sample(jax.random.key(1))

    def found(memory_mb):
        return jax.jit(lambda key: replicate(run.model, run.params, key, x, 2, memory_mb=memory_mb))(jax.random.key(2))

    with jax.debug_key_reuse(False):  # which cannot follow the keys of the steps of a sequence through a loop of loops
        one, many = found(1e-6), found(8.0)  # an example at a time, and all
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), one, many)
    assert one["discrepancy"][1].shape == (2,)


def test_models_without_densities_are_refused():
    loss = lg.MODEL._replace(likelihood=lg.MODEL.likelihood._replace(is_density=False))
    key = jax.random.key(0)
    for call, message in (
        (lambda: replicate(loss, lg.params(), key, lg.X), "draw data from p"),
        (lambda: ranks(loss, lg.params(), key, 5), "no x can be drawn"),
        (lambda: amortization_gap(loss, lg.params(), key, lg.X), "needs a likelihood that is a density"),
        (lambda: amortization_gap(lg.MODEL, lg.params(), key, lg.X, num_steps=0), "num_steps=0"),
        (lambda: replicate(lg.MODEL, lg.params(), key, lg.X, 0), "num_replicates=0"),
        (lambda: ranks(lg.MODEL, lg.params(), key, 0), "num=0"),
    ):
        with pytest.raises(UserError, match=message):
            call()
    laplace = lg.MODEL._replace(encode=lambda params, x, context=None: dist.Laplace(x[..., :3], 1.0).to_event(1))
    with pytest.raises(UserError, match="refines a Gaussian"):
        amortization_gap(laplace, lg.params(), key, lg.X)
