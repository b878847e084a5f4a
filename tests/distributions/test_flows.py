"""The layers of flows: each map against its paper's formula, its inverse and its Jacobian."""

import functools

import flow_tools
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flow_tools import KINDS, MADE, flow_of, in_double, made, row
from scipy import special

from jaxvae.distributions.autoregressive import GATE_BIAS, Autoregressive, Coupling, Reverse
from jaxvae.distributions.flows import Planar, Radial
from jaxvae.networks.masked import CouplingNet, Made

forward = jax.jit(lambda layer, x: layer(x))
inverse = jax.jit(lambda layer, y: layer._inverse(y))


@pytest.fixture
def make_layers(random_like):
    """`(kind, d, batch=(), scale=1)`: see flow_tools."""
    return functools.partial(flow_tools.make_layers, random_like)


# The papers' formulas in NumPy, from the parameters alone.


def test_planar_is_its_formula():
    rng = np.random.default_rng(0)
    x, u, w, b = rng.normal(size=(7, 5, 3)), rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), rng.normal(size=5)
    along = (w * u).sum(axis=-1, keepdims=True)
    m = np.log1p((np.e - 1) * np.exp(along)) - 1
    u_hat = u + (m - along) * w / (w * w).sum(axis=-1, keepdims=True)
    expected = x + u_hat * np.tanh((w * x).sum(axis=-1) + b)[..., None]
    np.testing.assert_allclose(forward(Planar(u, w, b), x), expected, rtol=1e-5, atol=1e-5)


def test_radial_is_its_formula():
    rng = np.random.default_rng(0)
    x, center, alpha_raw, beta_raw = rng.normal(size=(7, 5, 3)), rng.normal(size=(5, 3)), *rng.normal(size=(2, 5))
    alpha = np.log1p(np.exp(alpha_raw))
    beta = np.log1p(np.exp(beta_raw)) - alpha
    factor = beta / (alpha + np.linalg.norm(x - center, axis=-1))
    expected = x + factor[..., None] * (x - center)
    np.testing.assert_allclose(forward(Radial(center, alpha_raw, beta_raw), x), expected, rtol=1e-5, atol=1e-5)


def test_autoregressive_and_coupling_are_their_formulas():
    x = np.random.default_rng(0).normal(size=(4, 3))
    net = lambda a, x, c: (a * x + c, jnp.sin(x) * a)  # noqa: E731 (not autoregressive: the forward map needs no such net)
    gate = special.expit(0.5 * np.sin(x) + GATE_BIAS)
    got = Autoregressive(net, 0.5, np.ones(3))(x)
    np.testing.assert_allclose(got, gate * x + (1 - gate) * (0.5 * x + 1), rtol=1e-5, atol=1e-6)
    kept = np.array([0.0, 1.0, 0.0])
    log_scale = np.tanh(np.sin(kept * x) * 0.5)
    expected = kept * x + (1 - kept) * (x * np.exp(log_scale) + 0.5 * kept * x + 1)
    np.testing.assert_allclose(Coupling(net, 0.5, kept, np.ones(3))(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("with_context", [False, True])
@pytest.mark.parametrize("d", [1, 4])
def test_made_is_autoregressive_and_leaves_nothing_else_out(d, with_context, random_like):
    rng = np.random.default_rng(0)
    x, context = rng.normal(size=d), rng.normal(size=2) if with_context else None
    params = random_like(MADE.init, jax.random.key(0), x, context)["params"]
    for jacobian in jax.jit(jax.jacfwd(made, 1))(params, x, context):
        np.testing.assert_array_equal(np.asarray(jacobian) != 0, np.tri(d, k=-1) > 0)
    if with_context:
        for jacobian in jax.jit(jax.jacfwd(made, 2))(params, x, context):
            assert np.all(np.asarray(jacobian) != 0)


def test_made_with_no_hidden_layer_or_a_narrow_one_is_autoregressive(random_like):
    for hidden in ((), (2,)):
        module, x = Made(hidden), np.random.default_rng(0).normal(size=4)
        variables = random_like(module.init, jax.random.key(0), x)
        for jacobian in jax.jacfwd(lambda x, module=module, variables=variables: module.apply(variables, x))(x):
            assert np.all(np.triu(jacobian) == 0)
            assert np.any(np.asarray(jacobian) != 0)


# Inverse and Jacobian of single layers.


@jax.jit
def jacobians(layer, x):
    """dy/dx `[K, B, d, d]` at the points x `[K, B, d]`, one by one."""
    at_points = jax.vmap(lambda i, x: jax.vmap(jax.jacfwd(row(layer, i)))(x), (0, 1), 1)
    return at_points(jnp.arange(x.shape[1]), x)


@pytest.mark.parametrize("scale", [0.5, 1.5, 6.0])
@pytest.mark.parametrize("kind", KINDS)
def test_inverses(kind, scale, make_layers):
    x = np.random.default_rng(5).normal(size=(50, 6, 3)).astype(np.float32)
    for layer in make_layers(kind, 3, (6,), scale):
        center = np.abs(getattr(layer, "center", np.zeros(3))).max(axis=-1)  # what is subtracted rounds, too
        # Any point has an inverse, not only the image of a typical one.
        for a, b in ((x, np.asarray(forward(layer, x))), (np.asarray(inverse(layer, x)), x)):
            # Rounding a moves b by the largest singular value; rounding b moves a by one over the smallest.
            sigma = np.linalg.svd(np.asarray(jacobians(layer, a), np.float64), compute_uv=False)
            size = sigma[..., 0] * (np.abs(a).max(axis=-1) + center) + np.abs(b).max(axis=-1) + center
            tolerance = 8 * np.finfo(np.float32).eps * size
            assert np.all(np.abs(forward(layer, a) - b).max(axis=-1) < tolerance)
            assert np.all(np.abs(inverse(layer, b) - a).max(axis=-1) < tolerance / sigma[..., -1])


@pytest.mark.parametrize("along", [-1e4, -30.0, -3.0, 0.0, 3.0, 30.0, 1e4])
def test_planar_inverse_for_any_slope(along):
    """One dimension, down to the least slope: x = y - u_hat tanh t is rounded at the size of x and y, no more."""
    layer = Planar(np.array([along]), np.array([1.0]), np.array(0.0))
    positive = np.geomspace(1e-6, 1e5, 60)
    y = np.concatenate([-positive[::-1], [0.0], positive]).astype(np.float32)[:, None]
    x = np.asarray(inverse(layer, y))
    slope = np.exp(layer.log_abs_det_jacobian(x, y))[:, None]
    away = np.abs(np.asarray(forward(layer, x), np.float64) - y)
    assert np.all(away <= 4 * np.finfo(np.float32).eps * (1 + slope) * (np.abs(x) + np.abs(y)))
    assert np.all(np.diff(x[:, 0]) > 0)


@pytest.mark.parametrize("kind", KINDS)
def test_log_determinants(kind, make_layers):
    with jax.enable_x64(True):
        x = np.random.default_rng(5).normal(size=(20, 4, 3))
        for layer in in_double(make_layers(kind, 3, (4,), 2.0)):
            sign, expected = np.linalg.slogdet(jacobians(layer, x))
            assert np.all(sign == (-1 if isinstance(layer, Reverse) else 1))
            y, log_det = layer.call_with_intermediates(x)
            np.testing.assert_allclose(log_det, expected, rtol=1e-8, atol=1e-8)
            np.testing.assert_array_equal(layer.log_abs_det_jacobian(x, y), log_det)


@jax.jit
def values_and_gradients(layer, z):
    def score(layer, z):
        y, log_det = layer.call_with_intermediates(z)
        return jnp.sum(y) + jnp.sum(log_det), jnp.sum(flow_of([layer], 2).log_prob(z))

    return score(layer, z), jax.jacrev(score, (0, 1))(layer, z)


@pytest.mark.parametrize(
    "layer",
    [Planar(np.zeros(2), np.zeros(2), np.array(0.7)), Planar(np.ones(2), np.zeros(2), np.array(0.0)),
     Planar(np.full(2, -1e4), np.full(2, 1e4), np.array(0.0)), Planar(np.full(2, 1e4), np.full(2, 1e-4), np.array(3.0)),
     Radial(np.zeros(2), np.array(-200.0), np.array(200.0)), Radial(np.zeros(2), np.array(200.0), np.array(-200.0)),
     Radial(np.zeros(2), np.array(-200.0), np.array(-200.0))],
)  # fmt: skip
def test_edges_are_finite(layer):
    """At the origin, where |x - center| and w.x + b have their kinks, beside it, and far away."""
    z = np.array([[0.0, 0.0], [0.1, -0.2], [30.0, 40.0]], np.float32)
    for leaf in jax.tree.leaves(values_and_gradients(layer, z)):
        assert np.all(np.isfinite(leaf))


@pytest.mark.slow
def test_new_flows_are_near_the_identity():
    x = np.random.default_rng(0).normal(size=(10, 5)).astype(np.float32)
    w, context = x[0], np.ones((10, 2), np.float32)
    np.testing.assert_allclose(Planar(np.zeros(5), w, np.array(0.3))(x), x, atol=1e-6)
    np.testing.assert_allclose(Radial(w, np.array(0.3), np.array(0.3))(x), x, atol=1e-6)
    for net, key in zip((Made((64,)), CouplingNet((64,))), jax.random.split(jax.random.key(0)), strict=True):
        for output in jax.jit(net.init_with_output)(key, x, context)[0]:
            assert 0 < np.abs(output).max() < 1
            assert 0 < np.sqrt(np.mean(np.square(output))) < 0.3
