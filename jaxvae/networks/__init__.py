"""Encoders, decoders and the networks inside flows: the only place that imports flax.linen."""

from jaxvae.networks.base import Network, Pure, check_widths
from jaxvae.networks.masked import CodeMade, CouplingNet, Made
from jaxvae.networks.mlp import MLP, mlp

__all__ = ["MLP", "CodeMade", "CouplingNet", "Made", "Network", "Pure", "check_widths", "mlp"]
