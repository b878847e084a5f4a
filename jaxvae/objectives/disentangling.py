"""Objectives that encourage independent latent variables."""

from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxvae import losses
from jaxvae.common.errors import UserError, unknown
from jaxvae.common.types import Array
from jaxvae.distributions.structure import moments, normal_factors
from jaxvae.losses.aggregate import ESTIMATORS
from jaxvae.models.base import Model
from jaxvae.objectives.base import Objective, bound_metrics, of_model
from jaxvae.objectives.elbo import check_weights, kl_estimator, needs_density, weighted_elbo
from jaxvae.objectives.kl_weight import UNWEIGHTED, KLWeight


def beta_tcvae(
    model: Model,
    kl: KLWeight = UNWEIGHTED,
    estimator: str = "stratified",
    alpha: float = 1.0,
    beta: float = 6.0,
    gamma: float = 1.0,
) -> Objective:
    """β-TCVAE: the ELBO with its KL in three weighted parts (Chen et al. 2018, arXiv:1802.04942, equation 4).

    Args:
      model: posterior and prior must be diagonal Gaussians, whose densities are products over dimensions.
      kl: a factor of all three parts.
      estimator: estimator of q(z) from a batch: "stratified" or "weighted", see `losses.log_aggregate`.
      alpha: weight of the mutual information of z and the example's index, KL(q(z, n) || q(z) p(n)).
      beta: weight of the total correlation, KL(q(z) || prod_d q(z_d)).
      gamma: weight of the dimension-wise KL, sum_d KL(q(z_d) || p(z_d)).

    The three parts are estimated from one z per example, each `[B]` nats; their sum is log q(z|x) - log p(z).

    Raises:
      UserError: an unknown estimator, a weight below 0, a KL weight that is not a factor, other posteriors or priors,
        or a batch of 1.
    """
    needs_density(model, "beta_tcvae")
    check_weights("beta_tcvae", alpha=alpha, beta=beta, gamma=gamma)
    if estimator not in ESTIMATORS:
        raise unknown("estimator", estimator, ESTIMATORS)
    if not kl.is_linear:
        raise UserError(
            "The objective 'beta_tcvae' splits the KL into three parts with separate weights, so only a factor of the "
            "KL fits it: take the kl weight 'constant', 'linear' or 'cyclic'."
        )

    def terms(params, batch, key, ctx):
        if len(batch["x"]) < 2:
            raise UserError("The objective 'beta_tcvae' estimates q(z) from a batch: it needs 2 examples at least.")
        out = model.forward(params, key, batch, is_training=ctx.is_training)
        q, p = _factors(out.posterior, "posterior"), _factors(out.prior, "prior")
        z = out.z[0]
        # [B, B, D]: log q(z_d|x) of the row's z under the column's posterior
        pairs: Any = dist.Normal(q.loc[None], q.scale[None]).log_prob(z[:, None])
        log_prior = jnp.sum(jnp.asarray(p.log_prob(z)), axis=-1)
        parts = losses.kl_parts(out.log_posterior[0], pairs, log_prior, ctx.train_size, estimator)
        metrics = bound_metrics(model, out.log_likelihood, out.log_posterior[0] - out.log_prior[0])
        weighted = sum(weight * part for weight, part in zip((alpha, beta, gamma), parts, strict=True))
        loss = metrics["reconstruction"] + kl.weight(ctx.step) * weighted
        return out, {"loss": loss, **metrics, **parts._asdict()}

    return of_model(model, terms, "q(z) is estimated from the posteriors of the whole batch")


def _factors(distribution: Any, role: str) -> Any:
    """Return the normal distribution of each dimension, a `dist.Normal`."""
    found = normal_factors(distribution)
    if found is None:
        fitting = "diagonal_gaussian" if role == "posterior" else "standard_normal"
        raise UserError(
            f"The objective 'beta_tcvae' needs densities by latent dimension, so a {role} that is a product over "
            f"dimensions: take the {role} '{fitting}'."
        )
    return found


def dip_vae(
    model: Model,
    kl: KLWeight = UNWEIGHTED,
    kind: int = 2,
    lambda_diagonal: float = 10.0,
    lambda_off_diagonal: float = 10.0,
    kl_estimate: str = "analytic",
) -> Objective:
    """DIP-VAE: the ELBO with a penalty that draws a latent covariance to I (arXiv:1711.00848, equations 6 and 7).

    Args:
      model: its posterior must be Gaussian, with known moments.
      kl: weight of the KL.
      kind: 1 for the covariance of the posterior means, 2 for the covariance of the aggregated posterior q(z).
      lambda_diagonal: weight of the squared distances of the variances from 1; in the paper 10 times the other weight
        for kind 1, equal to it for kind 2.
      lambda_off_diagonal: weight of the squared covariances.
      kl_estimate: "analytic" or "monte_carlo", as in the ELBO.

    The penalty is one number per batch, reported as "covariance_penalty".

    Raises:
      UserError: another kind, a weight below 0, or a posterior without moments in R^n.
    """
    needs_density(model, "dip_vae")
    check_weights("dip_vae", lambda_diagonal=lambda_diagonal, lambda_off_diagonal=lambda_off_diagonal)
    if kind not in (1, 2):
        raise UserError(
            f"objective.kind is {kind}; DIP-VAE comes as kind 1 (covariance of the posterior means) and 2 (of q(z))."
        )
    if not model.latent.space.is_linear:
        raise UserError(
            f"The objective 'dip_vae' draws a covariance in R^n to I, and latents in {model.latent.space} cannot "
            "have it: take the posterior 'diagonal_gaussian' or 'full_covariance'."
        )
    kl_terms = kl_estimator(model, kl_estimate)

    def terms(params, batch, key, ctx):
        out = model.forward(params, key, batch, is_training=ctx.is_training)
        metrics = weighted_elbo(model, out, kl_terms(out), kl, ctx.step)
        mean, covariance = _moments(out.posterior)
        weights = lambda_diagonal, lambda_off_diagonal
        penalty = losses.covariance_penalty(mean, covariance if kind == 2 else None, *weights)
        return out, {**metrics, "loss": metrics["loss"] + penalty, "covariance_penalty": penalty}

    return of_model(model, terms, "the covariance is that of the whole batch")


def _moments(posterior: Any) -> tuple[Array, Array]:
    """Return mean `[B, D]` and covariance `[B, D, D]` of q(z|x)."""
    found = moments(posterior)
    if found is None:
        raise UserError(
            "The objective 'dip_vae' needs the mean and the variance of q(z|x), and those of this posterior have no "
            "closed form: take the posterior 'diagonal_gaussian' or 'full_covariance'."
        )
    return found
