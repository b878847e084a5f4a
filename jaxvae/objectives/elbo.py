"""Evidence lower bound (ELBO)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.types import Array
from jaxvae.models.base import Model, Pass
from jaxvae.objectives.base import Objective, bound_metrics, of_model
from jaxvae.objectives.kl_weight import UNWEIGHTED, KLWeight

KL_ESTIMATES = ("analytic", "monte_carlo")
GRADIENTS = ("pathwise", "stl")


def elbo(
    model: Model,
    kl: KLWeight = UNWEIGHTED,
    num_samples: int = 1,
    kl_estimate: str = "analytic",
    gradient: str = "pathwise",
) -> Objective:
    """Negative ELBO (arXiv:1312.6114, equations 6 and 7), with the KL in closed form or from the same samples.

    Args:
      model: its posterior needs a density; the analytic KL needs a pair of posterior and prior with a closed form.
      kl: weight of the KL; the metric "elbo" keeps weight 1.
      num_samples: Monte-Carlo samples L of z per example.
      kl_estimate: "analytic", or "monte_carlo": log q(z|x) - log p(z), averaged over the samples.
      gradient: gradient estimator of the encoder: "pathwise", or "stl" without the score of q, whose mean is 0
        ("sticking the landing", arXiv:1703.09194, algorithm 2): it has no variance where q(z|x) is p(z|x).

    Raises:
      UserError: `num_samples` is below 1, the KL to this prior has no closed form, or "stl" with the analytic KL.
    """
    needs_density(model, "elbo")
    check_samples("elbo", num_samples=num_samples)
    kl_terms = kl_estimator(model, kl_estimate, gradient)

    def terms(params, batch, key, ctx):
        out = model.forward(params, key, batch, num_samples, is_training=ctx.is_training)
        return out, weighted_elbo(model, out, kl_terms(out), kl, ctx.step)

    return of_model(model, terms, kl.whole_batch)


def weighted_elbo(model: Model, out: Pass, groups: Array, kl: KLWeight, step: Array) -> dict[str, Array]:
    """Return "loss" `[B]`, with the weighted KL of `groups` `[L, B]`, and the metrics of the bound."""
    metrics = bound_metrics(model, out.log_likelihood, jnp.sum(groups, axis=0))
    return {"loss": metrics["reconstruction"] + kl.term(groups, step), **metrics}


def kl_estimator(model: Model, name: str, gradient: str = "pathwise") -> Callable[[Pass], Array]:
    """Return `(pass) -> [L, B]` nats: KL(q(z|x) || p(z)), by latent variable where it splits, else L = 1.

    Raises:
      UserError: an unknown name, or "stl" with the analytic KL, which has no samples.
    """
    if name not in KL_ESTIMATES:
        raise unknown("kl_estimate", name, KL_ESTIMATES)
    if gradient not in GRADIENTS:
        raise unknown("gradient", gradient, GRADIENTS)
    if gradient == "stl" and name == "analytic":
        raise UserError(
            "objective.gradient=stl leaves out the score of the samples, and the KL in closed form has no samples: "
            "take objective.kl_estimate=monte_carlo with it."
        )

    def estimate(out: Pass) -> Array:
        if name == "analytic":
            return out.kl()
        check_prior_gradient(model, out)
        if model.latent.is_relaxed:
            raise UserError(
                "objective.kl_estimate=monte_carlo needs samples of q(z|x), and this posterior draws relaxed "
                "ones. Take kl_estimate=analytic, or set model.posterior.straight_through=True."
            )
        log_posterior = out.log_posterior if gradient == "pathwise" else path_log_prob(out.posterior, out.z)
        return jnp.mean(log_posterior - out.log_prior, axis=0, keepdims=True)

    return estimate


def path_log_prob(posterior: Any, z: Array) -> Array:
    """Compute log q(z|x) `[K, B]` as a function of z: gradients reach the parameters of q only through z."""
    return jax.tree.map(jax.lax.stop_gradient, posterior).log_prob(z)


def check_prior_gradient(model: Model, out: Pass) -> None:
    """Raise UserError where samples of q(z|x) have a gradient, but log p(z) has none at them."""
    if model.latent.has_soft_codes:
        out.kl()  # log p of codes has no gradient; a uniform prior needs none


def needs_density(model: Model, objective: str) -> None:
    """Raise UserError where q(z|x) is a point, whose KL is infinite, or its density is not known."""
    if model.latent.is_implicit:
        raise UserError(
            f"The objective '{objective}' needs the density of q(z|x), and that of an implicit posterior is not known: "
            "take the objective 'avb', which estimates the KL, or the posterior 'diagonal_gaussian'."
        )
    if not model.latent.is_density:
        raise UserError(
            f"The objective '{objective}' needs a posterior with a density, and this one, as 'delta', is a point: its "
            "KL to the prior is infinite. Take the posterior 'diagonal_gaussian', or the objective 'reconstruction' "
            "for an autoencoder."
        )


def needs_exact_samples(model: Model, objective: str, why: str) -> None:
    """Raise UserError where training decodes a relaxation of z."""
    if model.latent.is_relaxed:
        raise UserError(
            f"The objective '{objective}' {why}, but this posterior is relaxed: its draws are not samples of q(z|x). "
            "Set model.posterior.straight_through=True, or take the objective 'elbo'."
        )


def check_samples(objective: str, **counts: int) -> None:
    """Raise UserError where a number of samples is below 1."""
    for name, value in counts.items():
        if value < 1:
            raise UserError(f"objective.{name} is {value}; the objective '{objective}' needs at least 1 per example.")


def check_weights(objective: str, **weights: float) -> None:
    """Raise UserError where a weight is below 0 or NaN."""
    for name, value in weights.items():
        if not value >= 0:
            raise UserError(f"objective.{name} is {value}; the objective '{objective}' needs 0 or more.")
