"""The distributions that flows make: integrals, samples, gradients, and how they are batched and compared."""

import functools
import itertools

import flow_tools
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from flow_tools import KINDS, MEAN, coupling_net, flow_of, in_double, made, row
from jax.test_util import check_grads
from slow_cases import fast

from jaxvae.distributions.autoregressive import Coupling
from jaxvae.distributions.flows import FlowDistribution

STEPS = {1: 1e-3, 2: 0.1}  # by the dimension
GRIDS = {d: np.stack(np.meshgrid(*[np.arange(-12, 12, step)] * d), axis=-1) for d, step in STEPS.items()}
log_prob = jax.jit(lambda flow, z: flow.log_prob(z))


@pytest.fixture
def make_layers(random_like):
    """`(kind, d, batch=(), scale=1)`: see flow_tools."""
    return functools.partial(flow_tools.make_layers, random_like)


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


@pytest.mark.parametrize("d", fast([1, 2], 2))
@pytest.mark.parametrize("kind", fast(KINDS, "planar", "coupling"))
def test_density_integrates_to_one_and_is_the_samples(kind, d, make_layers, assert_mean):
    flow = flow_of(make_layers(kind, d, scale=0.6), d)
    total, expected = integrals(flow)
    assert float(total) == pytest.approx(1, abs=1e-4)
    assert_mean(moments(flow.sample(jax.random.key(1), (20_000,))), expected)


@pytest.mark.parametrize("kind", fast(KINDS, "planar"))
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


@pytest.mark.parametrize("kind", fast(KINDS, "autoregressive"))
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


@pytest.mark.parametrize("kind", fast(KINDS, "autoregressive"))
def test_derivatives_of_the_density(kind, make_layers):
    """By point and by parameters, through the inverse, against finite differences; twice where the root is our own."""
    with jax.enable_x64(True):
        layers = in_double(make_layers(kind, 2))
        z = np.random.default_rng(1).normal(size=(3, 2))
        score = jax.jit(lambda layers, z: jnp.sum(jnp.sin(flow_of(layers, 2, np.float64).log_prob(z))))
        check_grads(score, (layers, z), order=2 if kind == "planar" else 1, modes=["rev"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", fast(KINDS, "planar"))
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


@pytest.mark.parametrize("kind", fast(KINDS, "planar"))
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


@pytest.mark.slow
def test_a_flow_of_a_flow_is_one_flow(make_layers):
    layers = make_layers("planar", 2)
    z = np.random.default_rng(1).normal(size=(4, 2)).astype(np.float32)
    nested = FlowDistribution(flow_of(layers[:1], 2), layers[1:])
    np.testing.assert_allclose(nested.log_prob(z), flow_of(layers, 2).log_prob(z), rtol=1e-6)


@pytest.mark.slow
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
