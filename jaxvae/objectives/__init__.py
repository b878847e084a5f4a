"""Objectives: losses per example in nats, computed from the terms of a forward pass."""

from collections.abc import Callable

from jaxvae.objectives.autoencoders import contractive, corrupt, denoising, rae, reconstruction
from jaxvae.objectives.base import Classes, Loss, Objective, StepContext, Transform, bound_metrics, of_model
from jaxvae.objectives.clusters import gmvae, vade
from jaxvae.objectives.density_ratio import avb, factor_vae
from jaxvae.objectives.disentangling import beta_tcvae, dip_vae
from jaxvae.objectives.elbo import elbo, kl_estimator
from jaxvae.objectives.image_autoencoder import image_autoencoder
from jaxvae.objectives.importance import ciwae, iwae, miwae, piwae
from jaxvae.objectives.kl_weight import KL_WEIGHTS, KLWeight
from jaxvae.objectives.latent_constraints import latent_constraints
from jaxvae.objectives.latent_games import adversarial_autoencoder, wae_gan
from jaxvae.objectives.matching import info_vae, swae, wae_mmd
from jaxvae.objectives.perceptual import dfc_vae
from jaxvae.objectives.semi_supervised import m2, supervised
from jaxvae.objectives.spectral import spectral_normalisation
from jaxvae.objectives.stages import of_codes
from jaxvae.objectives.vae_gan import vae_gan

OBJECTIVES: dict[str, Callable[..., Objective]] = {
    builder.__name__: builder
    for builder in (
        elbo, iwae, miwae, ciwae, piwae, beta_tcvae, dip_vae, info_vae, wae_mmd, swae, reconstruction, denoising,
        contractive, rae, m2, supervised, vade, gmvae, vae_gan, adversarial_autoencoder, wae_gan, factor_vae, avb,
        dfc_vae, image_autoencoder, latent_constraints,
    )
}  # fmt: skip

__all__ = [
    "KL_WEIGHTS", "OBJECTIVES", "Classes", "KLWeight", "Loss", "Objective", "StepContext", "Transform",
    "adversarial_autoencoder", "avb", "beta_tcvae", "bound_metrics", "ciwae", "contractive", "corrupt", "denoising",
    "dfc_vae", "dip_vae", "elbo", "factor_vae", "gmvae", "image_autoencoder", "info_vae", "iwae", "kl_estimator",
    "latent_constraints", "m2", "miwae", "of_codes", "of_model", "piwae", "rae", "reconstruction",
    "spectral_normalisation", "supervised", "swae", "vade", "vae_gan", "wae_gan", "wae_mmd",
]  # fmt: skip
