"""What the tests of the flows share: layers with random parameters, and the distributions they make."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from jaxvae.distributions.autoregressive import Autoregressive, Coupling, Reverse
from jaxvae.distributions.flows import FlowDistribution, Planar, Radial
from jaxvae.networks.masked import CouplingNet, Made

MADE, COUPLING_NET = Made((9, 6)), CouplingNet((6,), jnp.tanh)  # smooth, so that grids integrate them well
KINDS = ["planar", "radial", "autoregressive", "coupling"]
MEAN, SCALE = np.array([0.3, -0.5, 0.1]), np.array([0.8, 1.2, 1.0])


def made(params, x, context):
    return MADE.apply({"params": params}, x, context)


def coupling_net(params, x, context):
    return COUPLING_NET.apply({"params": params}, x, context)


def make_layers(random_like, kind, d, batch=(), scale=1.0):
    """Layers with random parameters; of a network's, only the context has the batch."""
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


def flow_of(layers, d, dtype=np.float32):
    return FlowDistribution(dist.Normal(MEAN[:d].astype(dtype), SCALE[:d].astype(dtype)).to_event(1), layers)


def in_double(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


def row(layer, i):
    """The layer of example i; a network's parameters have no batch axis."""
    if isinstance(layer, Reverse):
        return layer
    if isinstance(layer, Autoregressive):
        return Autoregressive(layer.net, layer.params, jnp.asarray(layer.context)[i])
    if isinstance(layer, Coupling):
        return Coupling(layer.net, layer.params, layer.mask, jnp.asarray(layer.context)[i])
    return jax.tree.map(lambda leaf: leaf[i], layer)
