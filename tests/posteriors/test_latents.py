"""Posteriors and priors against enumeration, integrals and NumPy: Gaussians, codes, mixtures, flows, Hamiltonian."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import linear_gaussian as lg
import numpy as np
import numpyro.distributions as dist
import objective_tools as tools
import pytest
from scipy import special, stats
from slow_cases import fast

from jaxvae import posteriors, priors
from jaxvae.common.errors import UserError
from jaxvae.distributions import Coded, GumbelSoftmax, HamiltonianFlow, nearest_code
from jaxvae.distributions.kl import analytic_kl
from jaxvae.models.sampling import sample


def normals(*shape, seed=0):
    return np.random.default_rng((seed, *shape)).normal(size=shape).astype(np.float32)


LOGITS = normals(2, 3)  # two variables of three categories


def test_full_covariance_and_its_kl_are_those_of_float64_and_of_samples(assert_mean):
    outputs, loc, scale = normals(2, 9), normals(3), np.exp(normals(3, seed=1))
    q, prior = posteriors.full_covariance(3).build({}, outputs, None), dist.Normal(loc, scale).to_event(1)
    kl, z = jax.jit(analytic_kl)(q, prior), jax.jit(lambda key: q.sample(key, (20_000,)))(jax.random.key(0))
    log_q, log_p = jax.jit(lambda z: (q.log_prob(z), prior.log_prob(z)))(z)
    assert_mean(log_q - log_p, kl)
    for i, row in enumerate(outputs.astype(np.float64)):
        factor = np.diag(np.exp(row[3:6] / 2))
        factor[np.tril_indices(3, -1)] = row[6:]  # row by row
        covariance, ratio = factor @ factor.T, np.diag(1.0 / scale**2) @ factor @ factor.T
        reference = stats.multivariate_normal(row[:3], covariance).logpdf(z[:9, i])
        np.testing.assert_allclose(log_q[:9, i], reference, rtol=1e-4)
        away = np.sum(((row[:3] - loc) / scale) ** 2)
        expected = 0.5 * (np.trace(ratio) + away - 3 - np.linalg.slogdet(ratio)[1])
        np.testing.assert_allclose(kl[i], expected, rtol=1e-5)


def test_gumbel_softmax_samples_and_its_kl_are_the_categoricals(assert_mean):
    probs, q = special.softmax(LOGITS.astype(np.float64), axis=-1), GumbelSoftmax(LOGITS, 0.7)
    hard, soft = (draw(jax.random.key(i), (20_000,)) for i, draw in enumerate((q.sample, q.rsample)))
    assert_mean(hard, probs)
    assert_mean(np.eye(3)[np.argmax(soft, axis=-1)], probs)
    prior = Coded(priors.uniform_categorical(2, 3).build({}, None), jnp.eye(3))
    values = np.eye(3, dtype=np.float32)[list(itertools.product(range(3), repeat=2))]
    log_q, log_p = (np.asarray(p.log_prob(values), np.float64) for p in (q, prior))
    np.testing.assert_allclose(log_p, -2 * math.log(3), rtol=1e-6)
    expected = np.sum(np.exp(log_q) * (log_q - log_p))
    np.testing.assert_allclose(analytic_kl(GumbelSoftmax(LOGITS[None], 0.7), prior), [expected], rtol=1e-5)


def test_relaxed_samples_become_hard_and_straight_through_ones_are_with_the_soft_gradient():
    weight = normals(2, 3, seed=1)

    @functools.partial(jax.jit, static_argnums=1)
    def run(temperature, straight_through=False):
        def weighed(logits):
            z = GumbelSoftmax(logits, temperature, straight_through).rsample(jax.random.key(3), (500,))
            return jnp.sum(weight * z), z

        return jax.grad(weighed, has_aux=True)(LOGITS)

    away = [float(np.mean(1 - np.max(run(temperature)[1], axis=-1))) for temperature in (10.0, 1.0, 0.1, 1e-3)]
    assert away == sorted(away, reverse=True)
    np.testing.assert_array_less(away, (0.7, 0.5, 0.2, 1e-3))
    (hard_slope, hard), (soft_slope, soft) = run(0.7, True), run(0.7)
    np.testing.assert_allclose(hard, np.eye(3)[np.argmax(soft, axis=-1)], atol=1e-6)
    np.testing.assert_allclose(hard_slope, soft_slope, rtol=1e-4)


def assert_uniform_kl(part, params, q, length):
    prior = Coded(priors.uniform_categorical(length, part.num_codes).build({}, None), part.codebook(params))
    expected = length * math.log(part.num_codes)
    np.testing.assert_allclose(prior.log_prob(prior.sample(jax.random.key(0), (5,))), -expected, rtol=1e-6)
    np.testing.assert_allclose(analytic_kl(q, prior), np.full(q.batch_shape, expected), rtol=1e-6)


def test_quantisation_takes_the_nearest_code_and_passes_the_gradient():
    part = posteriors.vector_quantized(4, codebook_size=6, code_dim=2, ema=False, commitment=0.3)
    book, outputs = normals(6, 2), normals(3, 8)
    q = part.build({"codebook": book}, outputs, None)
    inputs = outputs.reshape(3, 4, 1, 2)
    codes = np.argmin(np.sum((inputs - book) ** 2, axis=-1), axis=-1)
    np.testing.assert_array_equal(q.codes, codes)
    np.testing.assert_allclose(q.mean, book[codes], rtol=1e-5, atol=1e-6)
    assert_uniform_kl(part, {"codebook": book}, q, 4)
    weight = normals(3, 4, 2)

    def both(f):
        return jax.jit(jax.grad(lambda b, o: jnp.sum(f(part.build({"codebook": b}, o, None))), (0, 1)))(book, outputs)

    to_book, to_outputs = both(lambda q: weight * q.sample(jax.random.key(0)))
    np.testing.assert_array_equal(to_book, np.zeros_like(book))
    np.testing.assert_allclose(to_outputs, weight.reshape(3, 8))
    away = inputs[..., 0, :] - book[codes]
    np.testing.assert_allclose(part.penalty(q), 1.3 * np.sum(away**2, axis=(1, 2)), rtol=1e-5)
    to_book, to_outputs = both(part.penalty)
    expected = np.zeros_like(book)
    np.add.at(expected, codes, -2 * away)
    np.testing.assert_allclose(to_book, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(to_outputs, 0.6 * away.reshape(3, 8), rtol=1e-4, atol=1e-5)


def test_ema_codebook_is_the_running_mean_and_dead_codes_restart_at_outputs_of_the_batch():
    part = posteriors.vector_quantized(3, codebook_size=5, code_dim=2, decay=0.8, restart_below=0.2)
    state, update, restarts = part.init_state(jax.random.key(0)), jax.jit(part.update_state), 0
    counts, sums = np.zeros(5), np.zeros((5, 2))
    for step, key in enumerate(jax.random.split(jax.random.key(1), 12)):
        outputs = normals(4, 6, seed=step) + 0.5 * step
        q = part.build(state["posterior"], outputs, None)
        state = update(state, q, key)
        points = outputs.reshape(12, 2)
        counts, sums = 0.8 * counts, 0.8 * sums
        for point, code in zip(points, np.asarray(q.codes).reshape(12), strict=True):
            counts[code] += 0.2
            sums[code] += 0.2 * point
        typical = max(counts.mean(), 0.2 * 12 / 5)
        for code in np.flatnonzero(counts < 0.2 * typical):
            row = np.asarray(state["posterior"]["codebook"])[code]
            nearest = np.argmin(np.sum((points - row) ** 2, axis=-1))
            np.testing.assert_allclose(row, points[nearest], rtol=1e-5, atol=1e-6)
            counts[code], sums[code] = typical, points[nearest] * typical
            restarts += 1
        np.testing.assert_allclose(state["posterior"]["counts"], counts, rtol=1e-4)
        np.testing.assert_allclose(state["posterior"]["codebook"], sums / counts[:, None], rtol=1e-4, atol=1e-5)
    assert 3 < restarts < 30


@pytest.mark.parametrize("grid", fast([(4, 3), (2, 5), (7,)], (2, 5)))
def test_finite_scalar_values_are_on_the_grid_and_every_code_can_be_reached(grid):
    part = posteriors.finite_scalar(1, grid)
    outputs = np.array(list(itertools.product(np.linspace(-4, 4, 41), repeat=len(grid))), np.float32)
    q, book = part.build({}, outputs, None), part.codebook({})
    assert len(book) == part.num_codes == math.prod(grid)
    assert set(np.asarray(q.codes).ravel()) == set(range(math.prod(grid)))
    np.testing.assert_allclose(book[q.codes], q.values, atol=1e-6)
    assert_uniform_kl(part, {}, q, 1)
    np.testing.assert_array_equal(nearest_code(q.mean, book), q.codes)
    for dim, levels in enumerate(grid):
        assert set(np.round((np.asarray(q.mean)[..., dim].ravel() + 1) * (levels - 1) / 2, 4)) == set(range(levels))
    slope = jax.jit(jax.grad(lambda o: jnp.sum(part.build({}, o, None).mean)))(outputs)
    np.testing.assert_allclose(slope, 1 / np.cosh(outputs) ** 2, rtol=2e-3, atol=1e-6)


def test_codes_used_is_the_part_of_the_codebook_that_the_batch_takes():
    book = np.arange(5, dtype=np.float32)[:, None]
    part = posteriors.vector_quantized(2, codebook_size=5, code_dim=1, ema=False)
    outputs = np.array([[0.1, 1.9], [2.2, 0.0], [1.6, -3.0]], np.float32)  # codes 0 2, 2 0, 2 0
    assert part.metrics(part.build({"codebook": book}, outputs, None))["codes_used"] == pytest.approx(2 / 5)
    assert part.metrics(part.build({"codebook": book}, 10 * outputs, None))["codes_used"] == pytest.approx(3 / 5)
    part = posteriors.finite_scalar(2, (3, 2))
    outputs = np.array([[-9, -9, 0, 9], [0, 9, -9, -9]], np.float32)  # codes 0 3, 3 0
    assert part.metrics(part.build({}, outputs, None))["codes_used"] == pytest.approx(2 / 6)
    every = 9 * np.array(list(itertools.product((-1, 0, 1), (-1, 1))), np.float32).reshape(3, 4)
    assert part.metrics(part.build({}, every, None))["codes_used"] == 1


def test_autoregressive_codes_are_causal_sum_to_one_and_sample_what_they_score(random_like, assert_mean):
    part = priors.autoregressive_codes(3, 3, (8,), 2)
    p = part.build(jax.tree.map(lambda leaf: 2 * leaf, random_like(part.init, jax.random.key(0))), None)
    codes = np.array(list(itertools.product(range(3), repeat=3)))
    probs = np.exp(np.asarray(p.log_prob(codes), np.float64))
    assert probs.sum() == pytest.approx(1, rel=1e-5)
    assert np.ptp(probs) > 0.02
    assert_mean(np.all(np.asarray(p.sample(jax.random.key(1), (20_000, 1))) == codes, axis=-1), probs)
    logits = np.asarray(p.net(p.params, codes)).reshape(3, 3, 3, 3, 3)  # [code 0, code 1, code 2, n, logit]
    for n in range(3):  # logits of code n: the same whatever the codes from n on, other for others before
        assert np.ptp(logits[..., n, :], axis=tuple(range(n, 3))).max() < 1e-5
        assert all(np.ptp(logits[..., n, :], axis=before).max() > 1e-2 for before in range(n))


@pytest.mark.parametrize("pixel_range", fast([(0.0, 1.0), (-1.0, 3.0), ()], (-1.0, 3.0)))
def test_vamp_is_the_mixture_of_the_posteriors_of_its_inputs(pixel_range, random_like):
    model = tools.small(prior=lambda dim: priors.vamp((6,), pixel_range, 3))
    params = random_like(model.init, jax.random.key(0))
    raw = np.asarray(params["prior"]["pseudo_inputs"], np.float64)
    low, high = pixel_range or (0, 0)
    inputs = low + (high - low) * special.expit(raw) if pixel_range else np.logaddexp(0, raw)
    mean, logvar = np.split(tools.encoded(params, inputs), 2, axis=-1)
    z = normals(7, 2)
    log_probs = stats.norm.logpdf(z[:, None], mean, np.exp(logvar / 2)).sum(axis=-1)
    expected = special.logsumexp(log_probs, axis=-1) - math.log(3)
    np.testing.assert_allclose(model.prior(params).log_prob(z), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("part", "dim"),
    [(priors.mixture_of_gaussians(1, 4), 1), (priors.flow(1, "autoregressive", 2, (8,)), 1),
     (priors.flow(2, "autoregressive", 2, (8,)), 2), (priors.flow(2, "coupling", 3, (8,)), 2)],
)  # fmt: skip
def test_learned_priors_integrate_to_one_and_sample_what_they_score(part, dim, random_like, assert_mean):
    p = part.build(random_like(part.init, jax.random.key(0)), None)
    axis = np.linspace(-12, 12, {1: 2401, 2: 481}[dim])
    grid = np.stack(np.meshgrid(*[axis] * dim, indexing="ij"), axis=-1).reshape(-1, dim)
    mass = (axis[1] - axis[0]) ** dim * np.exp(np.asarray(jax.jit(p.log_prob)(grid.astype(np.float32)), np.float64))
    assert mass.sum() == pytest.approx(1, abs=1e-3)
    z = np.asarray(jax.jit(lambda key: p.sample(key, (20_000,)))(jax.random.key(1)), np.float64)
    assert_mean(z, mass @ grid)
    assert_mean(z[:, :, None] * z[:, None], np.einsum("n,ni,nj", mass, grid, grid))


@pytest.mark.slow
def test_hamiltonian_weights_have_the_evidence_as_their_mean_and_raise_the_bound_of_a_start_that_is_off(assert_mean):
    @jax.jit
    def log_weights(params, key, other):
        def log_joint(x, z):
            return lg.MODEL.decode(params, z).log_prob(x) + lg.MODEL.prior(params).log_prob(z)

        base, target = lg.MODEL.encode(params, lg.X), jax.tree_util.Partial(log_joint, lg.X)
        flow = HamiltonianFlow(base, target, jnp.array([0.2, 0.15, 0.1]), 0.8, 4)
        (z, log_q), start = flow.sample_and_log_prob(key, (20_000,)), base.sample(other, (20_000,))
        return target(z) - log_q, target(start) - base.log_prob(start)

    for logs in log_weights(lg.params(0.3, 0.3), *jax.random.split(jax.random.key(4))):
        assert_mean(np.exp(np.asarray(logs, np.float64) - lg.LOG_PX), 1)
    flow, start = map(np.asarray, log_weights(lg.params(3.0), *jax.random.split(jax.random.key(5))))
    assert_mean(start, lg.LOG_PX - lg.gap(3.0, 0.0))
    assert np.all(flow.mean(axis=0) < lg.LOG_PX)
    noise = np.sqrt((flow.var(axis=0) + start.var(axis=0)) / len(flow))
    assert np.all(flow.mean(axis=0) - start.mean(axis=0) > 4 * noise)


@pytest.mark.slow
def test_a_temperature_is_refused_where_latents_know_no_scaling(random_like):
    codes = tools.gumbel_model()
    sphere = tools.small(posterior=posteriors.von_mises_fisher, prior=priors.uniform_sphere)
    ball = tools.small(posterior=posteriors.wrapped_normal, prior=priors.wrapped_normal)
    for model in (codes, sphere, ball):
        params = random_like(model.init, jax.random.key(0))
        assert sample(model, params, jax.random.key(1), 2).shape == (2, 6)
        with pytest.raises(UserError, match=r"temperature is 0.5, but latents in .* take only 1"):
            sample(model, params, jax.random.key(2), 2, 0.5)


@pytest.mark.parametrize("restart_below", fast([0.0, 0.1], 0.1))
def test_codes_never_chosen_stay_finite(restart_below):
    part = posteriors.vector_quantized(3, codebook_size=16, code_dim=2, restart_below=restart_below)
    state = part.init_state(jax.random.key(0))
    q = part.build(state["posterior"], 0.1 * normals(4, 6), None)
    codebook = part.update_state(state, q, jax.random.key(1))["posterior"]["codebook"]
    assert np.all(np.isfinite(codebook))
