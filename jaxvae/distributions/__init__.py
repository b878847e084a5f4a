"""Distributions missing in NumPyro, with its interface: pytrees, `sample(key, shape)`, `log_prob(value)` in nats."""

from jaxvae.distributions.autoregressive import Autoregressive, Coupling, Reverse
from jaxvae.distributions.discrete import AutoregressiveCodes, Coded, GumbelSoftmax, Quantized, nearest_code
from jaxvae.distributions.flows import FlowDistribution, Planar, Radial
from jaxvae.distributions.hamiltonian import HamiltonianFlow
from jaxvae.distributions.implicit import Implicit
from jaxvae.distributions.nested import NestedMixture
from jaxvae.distributions.pixels import Bernoulli, Shaped, SquaredError
from jaxvae.distributions.poincare import WrappedNormal, expmap0
from jaxvae.distributions.sequence import Sequence
from jaxvae.distributions.sphere import HypersphericalUniform, VonMisesFisher

__all__ = [
    "Autoregressive", "AutoregressiveCodes", "Bernoulli", "Coded", "Coupling", "FlowDistribution", "GumbelSoftmax",
    "HamiltonianFlow", "HypersphericalUniform", "Implicit", "NestedMixture", "Planar", "Quantized", "Radial", "Reverse",
    "Sequence", "Shaped", "SquaredError", "VonMisesFisher", "WrappedNormal", "expmap0", "nearest_code",
]  # fmt: skip
