"""The Poincare ball's maps and its wrapped normal, against their definitions in float64 and the change of variables."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from slow_cases import fast

from jaxvae.distributions.poincare import WrappedNormal, at_edge, expmap, expmap0, logmap, logmap0, mobius_add

RNG = np.random.default_rng(0)
CURVATURES = [0.0, 1e-4, 0.5, 1.0, 2.0]
LENGTHS = [0.0, 1e-20, 1e-3, 1.0, 15.0]


def ball_points(num, dim, c, reach):
    """Points up to a hyperbolic distance `reach` from the origin."""
    x = RNG.normal(size=(num, dim))
    x *= RNG.uniform(0, reach, size=(num, 1)) / 2 / np.linalg.norm(x, axis=-1, keepdims=True)
    return np.asarray(expmap0(jnp.asarray(x, jnp.float32), c))


def textbook_add(x, y, c):  # arXiv:1805.09112, definition 1, in float64
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    xy, xx, yy = (np.sum(a * b, axis=-1, keepdims=True) for a, b in ((x, y), (x, x), (y, y)))
    return ((1 + 2 * c * xy + c * yy) * x + (1 - c * xx) * y) / (1 + 2 * c * xy + c**2 * xx * yy)


def distance(x, y, c):
    norm = np.linalg.norm(textbook_add(-x, y, c), axis=-1)
    return 2 * np.arctanh(np.sqrt(c) * norm) / np.sqrt(c) if c else 2 * norm


@pytest.mark.parametrize("c", CURVATURES)
def test_mobius_sum_is_the_textbooks_and_can_be_undone(c):
    x, y = ball_points(200, 3, c, 5.0), ball_points(200, 3, c, 5.0)
    total = mobius_add(x, y, c)
    np.testing.assert_allclose(total, textbook_add(x, y, c), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mobius_add(-x, total, c), y, rtol=1e-3, atol=3e-3)
    np.testing.assert_allclose(mobius_add(x, np.zeros_like(x), c), x, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("c", fast(CURVATURES, 0.0, 1e-4, 2.0))
def test_maps_are_inverse_and_as_long_as_the_distance(c):
    x, y = ball_points(200, 3, c, 4.0), ball_points(200, 3, c, 4.0)
    v = np.asarray(logmap(x, y, c))
    np.testing.assert_allclose(expmap(x, v, c), y, atol=5e-5)  # rounding times the conformal factor, here up to 150
    conformal = 2 / (1 - c * np.sum(x.astype(np.float64) ** 2, axis=-1))
    np.testing.assert_allclose(conformal * np.linalg.norm(v, axis=-1), distance(x, y, c), rtol=1e-4)
    np.testing.assert_allclose(logmap(x, np.asarray(expmap(x, v, c)), c), v, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(expmap0(logmap0(y, c), c), y, rtol=1e-5)
    np.testing.assert_array_equal(logmap0(y, c), logmap(np.zeros_like(y), y, c))
    slope = jax.jit(jax.vmap(jax.jacfwd(lambda x, t, v: expmap(x, t * v, c), argnums=1), (0, None, 0)))
    start = slope(x, 0.0, v)
    np.testing.assert_allclose(start, v, rtol=1e-5, atol=1e-6)  # leaves x in the direction of v


@pytest.mark.parametrize("c", [0.5, 1.0])
@pytest.mark.parametrize("length", [1e-20, 1e-6, 1e-3, 0.03, 0.04, 1.0, 4.0])
def test_maps_at_the_origin_are_the_textbooks_at_every_length(c, length):
    v = length * np.array([[0.6, -0.8]], np.float32)
    t = np.sqrt(c) * length
    np.testing.assert_allclose(expmap0(v, c), v * np.tanh(t) / t, rtol=1e-6)
    np.testing.assert_allclose(logmap0(expmap0(v, c), c), v, rtol=2e-4)


@pytest.mark.parametrize("c", fast(CURVATURES, 0.0))
def test_no_nan_in_values_and_gradients(c):
    far, length = (np.ravel(a) for a in np.meshgrid([0.0, 1.0, 20.0], [sign * v for sign in (-1, 1) for v in LENGTHS]))
    x = jax.vmap(lambda far: expmap0(far * jnp.array([-0.6, 0.0, 0.8]), c))(far.astype(np.float32))
    v = length[:, None].astype(np.float32) * np.array([0.6, 0.0, -0.8], np.float32)

    def total(x, v):
        y = expmap(x, v, c)
        d = WrappedNormal(x, jnp.ones(3), c)
        return jnp.sum(logmap(x, y, c)) + jnp.sum(logmap0(y, c)) + d.log_prob(y) + jnp.sum(mobius_add(y, x, c))

    found = jax.jit(jax.vmap(jax.value_and_grad(total, (0, 1))))(x, v)
    for leaf in jax.tree.leaves(found):
        assert len(leaf) == 30
        assert np.all(np.isfinite(leaf)), leaf


def test_results_are_clipped_to_the_ball():
    v = jnp.array([[15.0, 0.0], [0.0, -1e6]])
    for c in (0.25, 1.0, 4.0):
        np.testing.assert_allclose(jnp.linalg.norm(expmap0(v, c), axis=-1), (1 - 1e-5) / np.sqrt(c), rtol=1e-6)


def test_far_and_back_again_ends_where_it_should():
    """15 from a point at distance 5, through the origin: at -10. A sum of clipped points would end at -7."""
    x = expmap0(jnp.array([2.5, 0.0]), 1.0)
    v = -jnp.array([15.0, 0.0]) * (1 - jnp.sum(x**2)) / 2
    end = np.asarray(logmap0(expmap(x, v, 1.0), 1.0))
    np.testing.assert_allclose(2 * end, [-10.0, 0.0], atol=0.02)


@pytest.fixture(params=[False, True], ids=["optimised", "not optimised"])
def optimisations(request):
    """Sums of products are fused in the one, which keeps more digits than the other has."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", request.param)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.mark.usefixtures("optimisations")
@pytest.mark.parametrize("dim", [1, 3])
def test_long_ways_through_the_origin_end_at_the_right_distance(dim):
    """From up to 8 on one side to up to 11 on the other, against `expmap` written with hyperbolic functions."""
    rng, num = np.random.default_rng(1), 2000
    away = rng.normal(size=(num, dim))
    away /= np.linalg.norm(away, axis=-1, keepdims=True)
    start, length = rng.uniform(2, 8, size=(num, 1)), rng.uniform(2, 15, size=(num, 1))
    x = np.asarray(expmap0(jnp.asarray(away * start / 2, jnp.float32)))
    v = (-away * length / 2 * (1 - np.sum(x.astype(np.float64) ** 2, axis=-1, keepdims=True))).astype(np.float32)
    end = np.asarray(jax.jit(expmap)(x, v), np.float64)
    x, v = x.astype(np.longdouble), v.astype(np.longdouble)
    squares, norm = (np.sum(x * x, axis=-1, keepdims=True), np.linalg.norm(v, axis=-1, keepdims=True))
    along, angle = np.sum(x * v, axis=-1, keepdims=True) / norm, 2 * norm / (1 - squares)
    exact = (np.cosh(angle) + np.sinh(angle) * along) * x + (1 - squares) / 2 * np.sinh(angle) * v / norm
    exact /= (1 + squares) / 2 * np.cosh(angle) + (1 - squares) / 2 + np.sinh(angle) * along
    expected, found = (2 * np.arctanh(np.linalg.norm(np.asarray(z, np.float64), axis=-1)) for z in (exact, end))
    inside = expected < 11
    assert inside.mean() > 0.8
    np.testing.assert_allclose(found[inside], expected[inside], atol=0.01)


@pytest.mark.slow
def test_the_edge_is_where_draws_are_clipped():
    d = WrappedNormal(expmap0(jnp.array([5.0, 0.0])), jnp.ones(2))
    noise = np.asarray(jax.random.normal(jax.random.key(0), (1000, 2)))
    beyond = np.asarray(at_edge(d.sample(jax.random.key(0), (1000,))))
    far = 10 + noise[:, 0]  # about the distance from the origin; the other direction adds to it
    assert 0.02 < beyond.mean() < 0.2
    assert np.all(beyond[far > 12.3])
    assert not np.any(beyond[far < 9])
    for c in (0.25, 4.0):
        np.testing.assert_array_equal(
            at_edge(expmap0(jnp.array([[12.5], [12.0]]) / 2 / np.sqrt(c), c), c), [True, False]
        )


@pytest.mark.parametrize("c", [1e-4, 0.5, 1.0, 2.0])
def test_density_integrates_to_one_by_volume(c):
    """In the plane, over geodesic polar coordinates at the origin: volume sinh(sqrt(c) r) / sqrt(c) dr dphi."""
    d = WrappedNormal(expmap0(jnp.array([0.3, -0.2]), c), jnp.array([0.5, 0.8]), c)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    upper = min(8.0, 12 / np.sqrt(c) - 0.5)
    r, weights = upper * (1 + nodes) / 2, upper / 2 * weights
    phi = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    radius = np.tanh(np.sqrt(c) * r / 2) / np.sqrt(c)
    z = radius[:, None, None] * np.stack([np.cos(phi), np.sin(phi)], axis=-1)
    volume = (np.sinh(np.sqrt(c) * r) / np.sqrt(c) * weights)[:, None] * 2 * np.pi / 200
    density = np.exp(np.asarray(d.log_prob(z.astype(np.float32)), np.float64))
    assert float(np.sum(density * volume)) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("c", fast(CURVATURES, 0.0, 1.0))
@pytest.mark.parametrize("dim", fast([1, 2, 5], 2))
def test_log_prob_is_the_change_of_variables_of_the_sampling_map(c, dim):
    loc = ball_points(1, dim, c, 2.0)[0]
    scale = np.linspace(0.4, 0.9, dim).astype(np.float32)
    e = RNG.normal(size=(50, dim)).astype(np.float32)

    def push(e):  # the standard normal noise e to z, as `sample` does, from the definition: exp_loc(v / lambda)
        return expmap(loc, scale * e * (1 - c * jnp.sum(jnp.square(loc))) / 2, c)

    z, jacobian = jax.jit(jax.vmap(lambda e: (push(e), jax.jacfwd(push)(e))))(e)
    conformal = 2 / (1 - c * np.sum(np.asarray(z, np.float64) ** 2, axis=-1))
    by_coordinates = stats.norm.logpdf(e).sum(axis=-1) - np.linalg.slogdet(np.asarray(jacobian, np.float64))[1]
    got = jax.jit(WrappedNormal(loc, scale, c).log_prob)(z)
    np.testing.assert_allclose(got, by_coordinates - dim * np.log(conformal), rtol=1e-3, atol=2e-3)


@pytest.mark.slow
def test_samples_are_the_push_forward_of_a_normal(assert_mean):
    c, loc, scale = 1.0, jnp.array([0.5, -0.3, 0.2]), jnp.array([0.3, 0.6, 1.0])
    d = WrappedNormal(loc, scale, c)
    z = d.sample(jax.random.key(0), (20_000,))
    v = np.asarray(logmap(loc, z, c), np.float64) * 2 / (1 - np.sum(np.asarray(loc, np.float64) ** 2))
    assert_mean(v, np.zeros(3))
    assert_mean(v[:, :, None] * v[:, None], np.diag(np.asarray(scale) ** 2))
    np.testing.assert_array_equal(d.mean, loc)


@pytest.mark.slow
def test_kl_between_two_is_the_same_by_any_measure_and_estimated_without_bias(assert_mean):
    """E[log q - log p] by samples is the integral of q (log q - log p), here by quadrature over the plane."""
    q = WrappedNormal(jnp.array([0.3, -0.2]), jnp.array([0.4, 0.6]))
    p = WrappedNormal(jnp.zeros(2), jnp.ones(1))
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    e = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    weights = np.outer(weights, weights).reshape(-1) / (2 * np.pi)
    near = np.abs(e).max(axis=-1) < 8
    z = expmap(q.loc, np.float32(e[near]) * q.scale * (1 - jnp.sum(q.loc**2)) / 2)
    ratio = jax.jit(lambda z: q.log_prob(z) - p.log_prob(z))
    exact = np.sum(weights[near] * np.asarray(ratio(z), np.float64))
    assert exact > 0.1
    assert_mean(ratio(jax.jit(q.sample, static_argnums=1)(jax.random.key(1), (20_000,))), exact)


def test_pathwise_gradients_are_those_of_the_expectation(assert_mean):
    """E[f(z)] by quadrature over the noise in float64 with the textbook's formulas; f is skewed."""
    loc, scale, c = np.array([0.4, -0.2]), np.array([0.5, 0.3]), 1.0
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    e = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    weights = np.outer(weights, weights).reshape(-1) / (2 * np.pi)

    def expectation(loc, scale):
        v = scale * e
        norm = np.linalg.norm(v, axis=-1, keepdims=True)
        z = textbook_add(loc, np.tanh(norm / 2) * v / norm, c)
        return np.sum(weights * np.exp(z @ [2.0, -1.0]))

    def f(loc, scale, key):
        return jnp.exp(WrappedNormal(loc, scale, c).rsample(key) @ jnp.array([2.0, -1.0]))

    keys = jax.random.split(jax.random.key(2), 20_000)
    gradient = jax.jit(jax.vmap(jax.grad(f, (0, 1)), (None, None, 0)))
    to_loc, to_scale = gradient(jnp.float32(loc), jnp.float32(scale), keys)
    steps = 1e-5 * np.eye(2)
    assert_mean(to_loc, [(expectation(loc + s, scale) - expectation(loc - s, scale)) / 2e-5 for s in steps])
    assert_mean(to_scale, [(expectation(loc, scale + s) - expectation(loc, scale - s)) / 2e-5 for s in steps])


@pytest.mark.parametrize("c", fast([0.0, 1e-6], 1e-6))
def test_without_curvature_it_is_the_normal_of_half_the_scale(c):
    """Volume is 2^d dz there, so the density by volume is the normal's over 2^d."""
    loc, scale = np.array([0.5, -1.0, 2.0], np.float32), np.array([0.5, 1.0, 2.0], np.float32)
    d = WrappedNormal(loc, scale, c)
    z = RNG.normal(size=(20, 3)).astype(np.float32)
    expected = stats.norm.logpdf(z, loc, scale / 2).sum(axis=-1) - 3 * np.log(2)
    np.testing.assert_allclose(d.log_prob(z), expected, rtol=1e-3)
    noise = jax.random.normal(jax.random.key(0), (4, 3))
    np.testing.assert_allclose(d.sample(jax.random.key(0), (4,)), loc + scale / 2 * noise, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_shapes_and_transformations():
    loc = jnp.asarray(ball_points(5, 3, 1.0, 3.0))
    d = WrappedNormal(loc, jnp.full((2, 1, 1), 0.5))
    assert (d.batch_shape, d.event_shape, d.has_rsample) == ((2, 5), (3,), True)
    draw = jax.jit(lambda d, seed: d.sample(jax.random.key(seed), (7,)), static_argnums=1)
    z = draw(d, 0)
    assert z.shape == (7, 2, 5, 3)
    assert d.mean.shape == (2, 5, 3)
    assert np.unique(np.asarray(z)).size == z.size  # `[..., 1]` scales share no noise
    log_prob = jax.jit(lambda d, z: d.log_prob(z))
    assert log_prob(d, z).shape == (7, 2, 5)
    np.testing.assert_allclose(d.sample(jax.random.key(0), (7,)), z, atol=1e-5)
    np.testing.assert_allclose(log_prob(d, z), d.log_prob(z), rtol=1e-3, atol=1e-3)
    full = WrappedNormal(jnp.broadcast_to(loc, (2, 5, 3)), jnp.full((2, 5, 3), 0.5))
    np.testing.assert_allclose(log_prob(full, z), log_prob(d, z), rtol=1e-6)
    same = WrappedNormal(loc, jnp.full((5, 3), 0.5), 0.7)
    rows = jax.jit(jax.vmap(lambda d, key: d.sample(key, (7,))))(same, jax.random.split(jax.random.key(1), 5))
    by_row = jax.jit(jax.vmap(lambda d, z: d.log_prob(z)))(same, rows)
    np.testing.assert_allclose(by_row, log_prob(same, rows.swapaxes(0, 1)).T, rtol=1e-4, atol=1e-4)

    def total(loc, stop):
        d = WrappedNormal(loc, 0.5 * jnp.ones(3))
        d = jax.tree.map(jax.lax.stop_gradient, d) if stop else d
        return jnp.sum(d.rsample(jax.random.key(2)))

    gradient = jax.jit(jax.grad(total), static_argnums=1)
    assert np.all(gradient(loc, False) != 0)
    np.testing.assert_array_equal(gradient(loc, True), np.zeros_like(loc))
