"""Samplers of z for a trained model: its prior, or a density fitted to the codes of the training set."""

from jaxvae.samplers.base import Codes, Draw, Sampler, encode_all, sample_with
from jaxvae.samplers.codes import autoregressive
from jaxvae.samplers.densities import gmm, two_stage
from jaxvae.samplers.fitting import check_fits
from jaxvae.samplers.flows import flow
from jaxvae.samplers.trained import prior, pseudo_inputs

SAMPLERS = {
    "prior": prior, "gmm": gmm, "flow": flow, "two_stage": two_stage, "pseudo_inputs": pseudo_inputs,
    "autoregressive": autoregressive,
}  # fmt: skip

__all__ = [
    "SAMPLERS", "Codes", "Draw", "Sampler", "autoregressive", "check_fits", "encode_all", "flow", "gmm", "prior",
    "pseudo_inputs", "sample_with", "two_stage",
]  # fmt: skip
