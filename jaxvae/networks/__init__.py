"""Encoders, decoders, discriminators and the networks inside flows: the only place that imports flax.linen."""

from jaxvae.networks.bag_of_words import BagOfWordsDecoder, bag_of_words
from jaxvae.networks.base import Functions, Network, Pure, by_path, check_widths, from_paths, functions
from jaxvae.networks.conv import conv
from jaxvae.networks.conv_pool import conv_pool
from jaxvae.networks.convolution import convolve, convolve_transposed
from jaxvae.networks.discriminators import (
    DiscriminatorNetwork,
    conv_discriminator,
    mlp_discriminator,
    patch_discriminator,
)
from jaxvae.networks.hierarchical import HierarchicalDecoder, hierarchical
from jaxvae.networks.masked import CodeMade, CouplingNet, Made
from jaxvae.networks.mlp import MLP, mlp
from jaxvae.networks.recurrent import SequenceDecoder, SequenceEncoder, lstm
from jaxvae.networks.resnet import resnet

__all__ = [
    "MLP",
    "BagOfWordsDecoder",
    "CodeMade",
    "CouplingNet",
    "DiscriminatorNetwork",
    "Functions",
    "HierarchicalDecoder",
    "Made",
    "Network",
    "Pure",
    "SequenceDecoder",
    "SequenceEncoder",
    "bag_of_words",
    "by_path",
    "check_widths",
    "conv",
    "conv_discriminator",
    "conv_pool",
    "convolve",
    "convolve_transposed",
    "from_paths",
    "functions",
    "hierarchical",
    "lstm",
    "mlp",
    "mlp_discriminator",
    "patch_discriminator",
    "resnet",
]
