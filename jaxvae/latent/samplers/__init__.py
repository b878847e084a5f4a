"""Samplers of z for a trained model: its prior, or a density fitted to the codes of the training set."""

from jaxvae.latent.samplers.base import Codes, Draw, Sampler, encode_all, sample_with
from jaxvae.latent.samplers.codes import autoregressive
from jaxvae.latent.samplers.densities import gmm, two_stage
from jaxvae.latent.samplers.fitting import check_fits
from jaxvae.latent.samplers.flows import flow
from jaxvae.latent.samplers.trained import prior, pseudo_inputs

SAMPLERS = {
    "prior": prior, "gmm": gmm, "flow": flow, "two_stage": two_stage, "pseudo_inputs": pseudo_inputs,
    "autoregressive": autoregressive,
}  # fmt: skip

__all__ = [
    "SAMPLERS", "Codes", "Draw", "Sampler", "autoregressive", "check_fits", "encode_all", "flow", "gmm", "prior",
    "pseudo_inputs", "sample_with", "two_stage",
]  # fmt: skip
