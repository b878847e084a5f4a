"""Products that the mathematics needs in float32, where JAX's default on GPU rounds the factors to TF32's 10 bits."""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
import pytest

from jaxvae import losses, networks
from jaxvae.distributions.discrete import nearest_code
from jaxvae.distributions.gaussian import FullNormal
from jaxvae.distributions.structure import moments
from jaxvae.objectives import spectral_normalisation

KEY, X = jax.random.key(0), jnp.ones((4, 3))
TRIL = jnp.eye(3) + jnp.tril(jnp.ones((3, 3)), -1)
SPECTRAL = spectral_normalisation("decoder")
STATE = SPECTRAL.init(KEY, {"decoder": {"kernel": X}})


def of_network(module, *inputs):
    """A network of a density, as a function of its parameters and inputs."""
    net = networks.Pure(module)
    return net, net.init(KEY, *inputs), *inputs


CASES = {
    "autoregressive flow": of_network(networks.Made((5,)), X, jnp.ones((4, 2))),
    "coupling flow": of_network(networks.CouplingNet((5,)), X, jnp.ones((4, 2))),
    "prior of codes": of_network(networks.CodeMade(3, (6,), 2), jnp.zeros((4, 3), jnp.int32)),
    "covariance of a posterior": (lambda tril: moments(FullNormal(X, tril))[1], jnp.broadcast_to(TRIL, (4, 3, 3))),
    "draws of a full Gaussian": (lambda tril: FullNormal(X, tril).rsample(KEY), jnp.broadcast_to(TRIL, (4, 3, 3))),
    "covariance of diagonal posteriors": (lambda scale: moments(dist.Normal(X, scale).to_event(1))[1], X),
    "covariance of means": (losses.covariance_penalty, X),
    "singular value": (lambda kernel: SPECTRAL.apply({"decoder": {"kernel": kernel}}, STATE), X),
    "distances of samples": (losses.mmd, X, X),
    "projections of samples": (lambda x: losses.sliced_wasserstein(KEY, x, x), X),
    "nearest code": (nearest_code, X, X),
    "blurred images": (losses.ms_ssim, jnp.ones((1, 8, 8, 1)), jnp.ones((1, 8, 8, 1))),
}


@pytest.mark.parametrize("case", CASES)
def test_products_and_those_of_gradients_are_in_float32(case):
    function, *args = CASES[case]

    def total(*args):
        return sum(jnp.sum(leaf.astype(jnp.float32)) for leaf in jax.tree.leaves(function(*args)))

    program = str(jax.make_jaxpr(jax.grad(total, allow_int=True))(*args))
    num_products = program.count("dot_general[")
    assert num_products > 0
    assert program.count("precision=(Precision.HIGHEST, Precision.HIGHEST)") == num_products
