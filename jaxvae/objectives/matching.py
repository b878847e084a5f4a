"""Objectives that match samples of the aggregated posterior q(z), the mixture of all q(z|x), with the prior's."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxvae import losses
from jaxvae.common.errors import UserError, unknown
from jaxvae.common.ranges import POSITIVE, check
from jaxvae.common.types import Array, Key
from jaxvae.losses.distances import KERNELS
from jaxvae.models.base import Model, Pass
from jaxvae.objectives.base import Objective, bound_metrics, needs_fixed_prior, of_model
from jaxvae.objectives.elbo import check_weights, kl_estimator, needs_density, needs_exact_samples
from jaxvae.objectives.kl_weight import UNWEIGHTED, KLWeight

WHOLE_BATCH = "the latents of the whole batch are compared with the prior's"
BY_SAMPLES = "uses only samples of the prior, without gradients"


def info_vae(
    model: Model,
    kl: KLWeight = UNWEIGHTED,
    alpha: float = 0.0,
    lambda_: float = 1000.0,
    kernel: str = "rbf",
    variance: float = 1.0,
    kl_estimate: str = "analytic",
) -> Objective:
    """InfoVAE: reconstruction + (1 - alpha) KL + (alpha + lambda - 1) MMD(q(z), p(z)) (arXiv:1706.02262, equation 6).

    Args:
      model: its posterior needs a density. A learned prior is trained by the KL alone, not by the MMD.
      kl: weight of the KL, multiplied by 1 - alpha.
      alpha: at most 1, which is the paper's MMD-VAE without a KL.
      lambda_: lambda. The default suits images of thousands of pixels, where the reconstruction is large;
        configs/info_vae.py uses 10 for the 8 x 8 digits.
      kernel: "rbf" or "imq", see `losses.mmd`.
      variance: the bandwidth, as the variance of the prior in each dimension: c = 2 D variance in `losses.mmd`, so that
        distances of draws from the prior are near c for any D. The authors' code has exp(-|x - y|^2 / D^2), a wider
        kernel for D > 2: another width needs another lambda.
      kl_estimate: "analytic" or "monte_carlo", as in the ELBO.

    Raises:
      UserError: alpha is above 1 or alpha + lambda below 1, an unknown kernel, a posterior without density.
    """
    needs_density(model, "info_vae")
    needs_exact_samples(model, "info_vae", "compares samples of q(z) with the prior's")
    check_kernel("info_vae", kernel, variance)
    if not (alpha <= 1 and alpha + lambda_ >= 1):
        raise UserError(
            f"The objective 'info_vae' got alpha={alpha} and lambda_={lambda_}; its weights 1 - alpha and "
            "alpha + lambda_ - 1 must be 0 or more, or it would drive q(z|x) away from the prior."
        )
    if alpha == 1:
        needs_fixed_prior(model, "info_vae", BY_SAMPLES)
    kl_terms = kl_estimator(model, kl_estimate)

    def terms(params, batch, key, ctx):
        pass_key, prior_key = jax.random.split(key)
        out = model.forward(params, pass_key, batch, is_training=ctx.is_training)
        distance = _mmd(*_both(out, prior_key), kernel, variance)
        groups = kl_terms(out)
        metrics = bound_metrics(model, out.log_likelihood, jnp.sum(groups, axis=0))
        loss = metrics["reconstruction"] + (1 - alpha) * kl.term(groups, ctx.step) + (alpha + lambda_ - 1) * distance
        return out, {"loss": loss, **metrics, "mmd": distance}

    return of_model(model, terms, WHOLE_BATCH)


def wae_mmd(model: Model, weight: float = 10.0, kernel: str = "imq", variance: float = 1.0) -> Objective:
    """Wasserstein autoencoder: reconstruction + weight MMD(q(z), p(z)) (arXiv:1711.01558, algorithm 2).

    Args:
      model: its posterior's samples need gradients ('delta' fits); its prior must be fixed.
      weight: lambda; the paper uses 10 for MNIST and 100 for CelebA, with squared errors summed over pixels.
        The authors' code multiplies the squared error by 0.05: its lambda is 20 times as large in units of this one.
      kernel: "imq" or "rbf", see `losses.mmd`.
      variance: the kernel's bandwidth, as the variance of the prior in each dimension.

    Raises:
      UserError: a weight below 0, an unknown kernel, a prior with parameters, a relaxed posterior.
    """
    check_kernel("wae_mmd", kernel, variance)
    return _matched(model, "wae_mmd", "mmd", weight, lambda key, z, prior_z: _mmd(z, prior_z, kernel, variance))


def swae(model: Model, weight: float = 10.0, num_projections: int = 50) -> Objective:
    """Sliced Wasserstein autoencoder: reconstruction + weight SW(q(z), p(z)) (arXiv:1804.01947, algorithm 1).

    Args:
      model: its posterior's samples need gradients ('delta' fits); its prior must be fixed.
      weight: lambda.
      num_projections: random directions in each step.

    Raises:
      UserError: a weight below 0, no projections, a prior with parameters, a relaxed posterior.
    """
    if num_projections < 1:
        raise UserError(f"objective.num_projections is {num_projections}; it must be 1 or more.")

    def distance(key, z, prior_z):
        return losses.sliced_wasserstein(key, z, prior_z, num_projections)

    return _matched(model, "swae", "sliced_wasserstein", weight, distance)


def check_kernel(objective: str, kernel: str, variance: float) -> None:
    """Raise UserError for an unknown kernel, or a bandwidth that is not above 0."""
    if kernel not in KERNELS:
        raise unknown("kernel", kernel, KERNELS)
    check("kernel of", objective, variance=(variance, POSITIVE))


def _mmd(z: Array, prior_z: Array, kernel: str, variance: float) -> Array:
    if len(z) < 2:
        raise UserError("The discrepancy of two distributions needs at least 2 samples of each: take a larger batch.")
    return losses.mmd(z, prior_z, kernel, variance)


def _matched(model: Model, name: str, metric: str, weight: float, distance: Callable) -> Objective:
    check_weights(name, weight=weight)
    needs_exact_samples(model, name, "compares samples of q(z) with the prior's")
    needs_fixed_prior(model, name, BY_SAMPLES)

    def terms(params, batch, key, ctx):
        pass_key, prior_key, distance_key = jax.random.split(key, 3)
        out = model.forward(params, pass_key, batch, is_training=ctx.is_training)
        value = distance(distance_key, *_both(out, prior_key))
        reconstruction = -out.log_likelihood[0]
        return out, {"loss": reconstruction + weight * value, "reconstruction": reconstruction, metric: value}

    return of_model(model, terms, WHOLE_BATCH)


def _both(out: Pass, key: Key) -> tuple[Array, Array]:
    """Return one z per example and as many draws of the prior, `[B, D]` each; the latter without gradients."""
    prior_z = prior_draws(out, key)
    return out.z[0].reshape(len(prior_z), -1), prior_z.reshape(len(prior_z), -1)


def prior_draws(out: Pass, key: Key) -> Array:
    """Draw one z of the prior for each example, `[B, *latent_shape]`, without gradients."""
    num = () if out.prior.batch_shape else out.z.shape[1:2]  # a conditional prior already has one per example
    return jax.lax.stop_gradient(out.prior.sample(key, num))
