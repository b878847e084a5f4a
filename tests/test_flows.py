"""Flows: each map against its paper's formula, its inverse and its Jacobian; the distributions they make."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax.test_util import check_grads
from scipy import special

from jaxvae.distributions.autoregressive import GATE_BIAS, Autoregressive, Coupling, Reverse
from jaxvae.distributions.flows import FlowDistribution, Planar, Radial
from jaxvae.networks.masked import CouplingNet, Made

MADE, COUPLING_NET = Made((9, 6)), CouplingNet((6,), jnp.tanh)  # smooth, so that grids integrate them well
KINDS = ["planar", "radial", "autoregressive", "coupling"]
MEAN, SCALE = np.array([0.3, -0.5, 0.1]), np.array([0.8, 1.2, 1.0])
STEPS = {1: 1e-3, 2: 0.1}  # by the dimension
GRIDS = {d: np.stack(np.meshgrid(*[np.arange(-12, 12, step)] * d), axis=-1) for d, step in STEPS.items()}


def made(params, x, context):
    return MADE.apply({"params": params}, x, context)


def coupling_net(params, x, context):
    return COUPLING_NET.apply({"params": params}, x, context)


@pytest.fixture
def make_layers(random_like):
    """`(kind, d, batch=(), scale=1)`: layers with random parameters; of a network's, only the context has the batch."""

    def make(kind, d, batch=(), scale=1.0):
        rng = np.random.default_rng(3)

        def normal(*shape):
            return scale * rng.normal(size=(*batch, *shape))

        def params(module):
            return random_like(module.init, jax.random.key(0), np.zeros((*batch, d)), context)["params"]

        context = normal(2) if batch else None
        if kind == "planar":
            return [Planar(normal(d), normal(d), normal()) for _ in range(2)]
        if kind == "radial":
            return [Radial(normal(d), normal(), normal()) for _ in range(2)]
        if kind == "autoregressive":
            steps = [Autoregressive(made, params(MADE), context) for _ in range(2)]
            return [steps[0], Reverse(), steps[1]]
        even = np.arange(d) % 2 == 1
        return [Coupling(coupling_net, params(COUPLING_NET), mask, context) for mask in (even, ~even)]

    return make


def flow_of(layers, d, dtype=np.float32):
    return FlowDistribution(dist.Normal(MEAN[:d].astype(dtype), SCALE[:d].astype(dtype)).to_event(1), layers)


forward = jax.jit(lambda layer, x: layer(x))
inverse = jax.jit(lambda layer, y: layer._inverse(y))
log_prob = jax.jit(lambda flow, z: flow.log_prob(z))


def in_double(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


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


def row(layer, i):
    """The layer of example i; a network's parameters have no batch axis."""
    if isinstance(layer, Reverse):
        return layer
    if isinstance(layer, Autoregressive):
        return Autoregressive(layer.net, layer.params, jnp.asarray(layer.context)[i])
    if isinstance(layer, Coupling):
        return Coupling(layer.net, layer.params, layer.mask, jnp.asarray(layer.context)[i])
    return jax.tree.map(lambda leaf: leaf[i], layer)


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


def test_new_flows_are_near_the_identity():
    x = np.random.default_rng(0).normal(size=(10, 5)).astype(np.float32)
    w, context = x[0], np.ones((10, 2), np.float32)
    np.testing.assert_allclose(Planar(np.zeros(5), w, np.array(0.3))(x), x, atol=1e-6)
    np.testing.assert_allclose(Radial(w, np.array(0.3), np.array(0.3))(x), x, atol=1e-6)
    for net, key in zip((Made((64,)), CouplingNet((64,))), jax.random.split(jax.random.key(0)), strict=True):
        for output in jax.jit(net.init_with_output)(key, x, context)[0]:
            assert 0 < np.abs(output).max() < 1
            assert 0 < np.sqrt(np.mean(np.square(output))) < 0.3


# Distributions.


def moments(z):
    """`[..., d]` to `[..., 3]`: three integrands that no layer makes trivial."""
    total = z[..., 0] + (0.5 * z[..., 1] if z.shape[-1] > 1 else 0)
    return jnp.stack([z[..., 0], jnp.square(total), jnp.cos(z[..., -1])], axis=-1)


@jax.jit
def integrals(flow):
    """Of q and of q's moments, by the trapezoidal rule, whose error is beyond all orders for a smooth density."""
    (d,) = flow.event_shape
    mass = STEPS[d] ** d * jnp.exp(flow.log_prob(GRIDS[d]))
    return jnp.sum(mass), jnp.tensordot(mass, moments(GRIDS[d]), d)


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_density_integrates_to_one_and_is_the_samples(kind, d, make_layers, assert_mean):
    flow = flow_of(make_layers(kind, d, scale=0.6), d)
    total, expected = integrals(flow)
    assert float(total) == pytest.approx(1, abs=1e-4)
    assert_mean(moments(flow.sample(jax.random.key(1), (20_000,))), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_pathwise_gradients_are_those_of_the_expectation(kind, make_layers, assert_mean):
    """Along one random direction in parameters and base: of samples, and of the integral with q's own derivative."""
    layers = make_layers(kind, 2, scale=0.6)
    rng = np.random.default_rng(8)
    direction = jax.tree.map(lambda leaf: rng.normal(size=np.shape(leaf)).astype(np.float32), flow_of(layers, 2))

    def along(step):
        return jax.tree.map(lambda leaf, by: leaf + step * by, flow_of(layers, 2), direction)

    def derivative(function):
        return jax.jit(lambda: jax.jvp(function, (jnp.float32(0),), (jnp.float32(1),))[1])()

    expected = derivative(lambda step: integrals(along(step))[1])
    assert np.all(np.abs(expected) > 1e-3)
    assert_mean(derivative(lambda step: moments(along(step).rsample(jax.random.key(2), (20_000,)))), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_log_prob_is_the_same_with_and_without_intermediates(kind, make_layers):
    flow = flow_of(make_layers(kind, 3, (4,)), 3)
    assert (flow.batch_shape, flow.event_shape) == ((4,), (3,))

    @jax.jit
    def draw(flow, key, same_key):
        return flow.sample_and_log_prob(key, (5,)), flow.sample(same_key, (5,))

    (z, expected), same_z = draw(flow, jax.random.key(0), jax.random.key(0))
    assert (z.shape, expected.shape) == ((5, 4, 3), (5, 4))
    np.testing.assert_allclose(same_z, z, rtol=1e-6)
    np.testing.assert_allclose(log_prob(flow, z), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_of_the_density(kind, make_layers):
    """By point and by parameters, through the inverse, against finite differences; twice where the root is our own."""
    with jax.enable_x64(True):
        layers = in_double(make_layers(kind, 2))
        z = np.random.default_rng(1).normal(size=(3, 2))
        score = jax.jit(lambda layers, z: jnp.sum(jnp.sin(flow_of(layers, 2, np.float64).log_prob(z))))
        check_grads(score, (layers, z), order=2 if kind == "planar" else 1, modes=["rev"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_flow_scores_a_live_draw(kind, make_layers):
    """The path gradient of log q: through the point only, so that the parameters' own gradient is 0."""
    layers = make_layers(kind, 2, (3,))
    z = np.random.default_rng(1).normal(size=(5, 3, 2)).astype(np.float32)

    @jax.jit
    def gradients(layers, z):
        def score(layers, z, stop):
            flow = flow_of(layers, 2)
            return jnp.sum((jax.tree.map(jax.lax.stop_gradient, flow) if stop else flow).log_prob(z))

        return [jax.grad(functools.partial(score, stop=stop), (0, 1))(layers, z) for stop in (True, False)]

    (stopped, stopped_z), (live, live_z) = gradients(layers, z)
    assert all(np.all(np.asarray(leaf) == 0) for leaf in jax.tree.leaves(stopped))
    assert all(np.any(np.asarray(leaf) != 0) for leaf in jax.tree.leaves([live, stopped_z]))
    np.testing.assert_allclose(stopped_z, live_z, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_vmap_over_examples_is_the_batch(kind, make_layers):
    """A distribution built for each example, returned from `vmap`, and scored in another one."""
    layers = make_layers(kind, 3, (4,))
    z = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    whole = flow_of(layers, 3)

    flows = jax.jit(jax.vmap(lambda i: flow_of([row(layer, i) for layer in layers], 3)))(jnp.arange(4))
    np.testing.assert_allclose(jax.vmap(log_prob)(flows, z), log_prob(whole, z), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(log_prob(whole, z[0]), log_prob(whole, z[:1].repeat(4, 0)), rtol=1e-5, atol=1e-5)


def test_mean_is_the_image_of_the_bases_mean(make_layers):
    layers = make_layers("planar", 2, (3,))
    expected = layers[1](layers[0](MEAN[:2]))
    np.testing.assert_allclose(flow_of(layers, 2).mean, expected, rtol=1e-6)
    assert expected.shape == (3, 2)
    tight = FlowDistribution(dist.Normal(MEAN[:2], 1e-6).to_event(1), layers)
    np.testing.assert_allclose(tight.sample(jax.random.key(0)), expected, atol=1e-4)


def test_a_flow_of_a_flow_is_one_flow(make_layers):
    layers = make_layers("planar", 2)
    z = np.random.default_rng(1).normal(size=(4, 2)).astype(np.float32)
    nested = FlowDistribution(flow_of(layers[:1], 2), layers[1:])
    np.testing.assert_allclose(nested.log_prob(z), flow_of(layers, 2).log_prob(z), rtol=1e-6)


def test_equality_is_of_type_static_fields_and_leaves(make_layers):
    layers = [make_layers(kind, 2)[0] for kind in KINDS]
    for a, b in itertools.product(range(len(layers)), repeat=2):
        assert (layers[a] == jax.tree.map(lambda leaf: leaf, layers[b])) == (a == b)
    for layer in layers:
        assert bool(layer.eq(jax.tree.map(jnp.array, layer)))
        assert not bool(layer.eq(jax.tree.map(lambda leaf: jnp.array(leaf) + 1, layer)))
    mask, params = (True, False), layers[3].params
    assert Coupling(coupling_net, params, mask) != Coupling(coupling_net, params, mask[::-1])
    assert Coupling(coupling_net, params, mask) != Coupling(made, params, mask)
