"""What is minimised: arithmetic on the terms of one pass, per example, in nats."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from jaxvae import losses
from jaxvae.errors import UserError
from jaxvae.model import Model, analytic_kl, forward
from jaxvae.types import Array, Key, Params, Tree


class StepContext(NamedTuple):
    """What an objective may know beside its batch: the step (for schedules), the training-set size (for β-TC)."""

    step: Array
    train_size: int


class Loss(NamedTuple):
    """What an objective returns.

    Attributes:
      losses: for each group of parameters what that group minimises: `[B]`, or `[]` where only the whole batch has one.
      metrics: named values to report, `[B]` or `[]`; "loss" and "reconstruction" always, "kl" and "elbo" where
        they exist. The step averages them over the batch, once.
      extra: the next value of the state that gradients do not own.
    """

    losses: dict[str, Array]
    metrics: dict[str, Array]
    extra: Tree


class Objective(NamedTuple):
    """Two pure functions that close over a model.

    Attributes:
      init: `key -> (params, extra)`; params is `{group: pytree}`. The group "model" is the model's own, another
        one (a discriminator, a classifier) is the objective's; extra is state that gradients do not own.
      loss: `(params, extra, batch, key, ctx) -> Loss`; batch has "x" `[B, *data_shape]` and, where the data
        has them, "label" `[B]`. Each group is moved by the gradient of its own loss only.
      whole_batch: why the loss is no mean over examples, so that it must see the whole batch; empty where it is one.
    """

    init: Callable[[Key], tuple[dict[str, Params], Tree]]
    loss: Callable[[dict[str, Params], Tree, dict[str, Array], Key, StepContext], Loss]
    whole_batch: str = ""


def elbo(model: Model, num_samples: int = 1, beta: float = 1.0) -> Objective:
    """The negative ELBO with an analytic KL (arXiv:1312.6114, equation 7); `beta` weighs the KL.

    Args:
      model: its posterior and prior need a closed-form KL.
      num_samples: Monte-Carlo samples L of z per example for the reconstruction term.
      beta: 1 for the ELBO, others for β-VAE; the metric "elbo" keeps weight 1.

    Raises:
      UserError: `num_samples` is below 1, `beta` is negative, or the posterior has no KL.
    """
    if num_samples < 1:
        raise UserError(f"objective.num_samples is {num_samples}; the ELBO needs at least 1 sample per example.")
    if beta < 0:
        raise UserError(f"objective.beta is {beta}; the weight of the KL must be 0 or more.")
    if not model.has_posterior_density:
        raise UserError(
            "The objective 'elbo' needs a posterior with a density, and 'delta' has none: its KL to the prior is "
            "infinite. Take the posterior 'diagonal_gaussian', or the objective 'reconstruction' for an autoencoder."
        )

    def loss(params, extra, batch, key, ctx):
        del ctx
        out = forward(model, params["model"], key, batch["x"], num_samples)
        reconstruction = -jnp.mean(out.log_likelihood, axis=0)
        kl = analytic_kl(out.posterior, out.prior)
        minimised = -losses.beta_elbo(out.log_likelihood, kl, beta)
        metrics = {"loss": minimised, "reconstruction": reconstruction, "kl": kl}
        if model.has_likelihood:
            metrics["elbo"] = losses.elbo(out.log_likelihood, kl)
        return Loss({"model": minimised}, metrics, extra)

    return Objective(_model_only(model), loss)


def reconstruction(model: Model) -> Objective:
    """-log p(x|z) alone: the autoencoder's loss. With a stochastic posterior z is drawn once per example."""

    def loss(params, extra, batch, key, ctx):
        del ctx
        minimised = -forward(model, params["model"], key, batch["x"]).log_likelihood[0]
        return Loss({"model": minimised}, {"loss": minimised, "reconstruction": minimised}, extra)

    return Objective(_model_only(model), loss)


def _model_only(model: Model) -> Callable[[Key], tuple[dict[str, Params], Tree]]:
    return lambda key: ({"model": model.init(key)}, {})
