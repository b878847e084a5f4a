"""Importance-weighted bound for values that are not missing at random (not-MIWAE)."""

import jax
import jax.numpy as jnp

from jaxvae import losses
from jaxvae.common.errors import UserError
from jaxvae.distributions.missingness import MISSINGNESS, init_self_masking, self_masking_log_prob
from jaxvae.models.base import Model
from jaxvae.objectives.base import Objective, bound_metrics, of_model
from jaxvae.objectives.elbo import check_prior_gradient
from jaxvae.objectives.kl_weight import KLWeight


def not_miwae(model: Model, kl: KLWeight, num_samples: int) -> Objective:
    """Bound on log p(x_observed, mask) with K = `num_samples` (Ipsen et al. 2021, arXiv:2006.12871).

    log mean_k p(x_observed | z_k) p(mask | x_k) p(z_k) / q(z_k | x_observed), where x_k holds the observed values and
    draws of the missing ones from p(x | z_k), by reparameterisation. The mask depends on x by a self-masking model,
    whose parameters are the group "missingness".

    Args:
      model: its likelihood must be a density of real values, a product over them.
      kl: factor of log p(z) - log q(z|x) within the importance weights.
      num_samples: K.

    Raises:
      UserError: draws from the likelihood have no gradient.
    """
    if model.likelihood.of_columns:
        raise UserError(
            "objective.not_missing_at_random needs gradients through draws of the missing values, but draws of "
            "categories and counts, which the likelihood 'columns' can have, are steps without one: take the "
            "likelihood 'gaussian' with data.kind=images (any arrays) where all columns are real, or leave it False."
        )
    if model.likelihood.is_discrete or not (model.likelihood.is_density and model.likelihood.is_product):
        raise UserError(
            "objective.not_missing_at_random needs gradients through draws of the missing values, so a density of real "
            "values, a product over them: take the likelihood 'gaussian' or 'laplace'."
        )
    event_ndim = len(model.data_shape)

    def terms(params, batch, key, ctx, groups):
        out = model.forward(params, key, batch, num_samples, is_training=ctx.is_training)
        check_prior_gradient(model, out)
        mask = batch.get("mask", jnp.ones(batch["x"].shape, bool))
        drawn = out.likelihood.sample(jax.random.fold_in(key, 2**31 - 3))
        filled = jnp.where(mask, batch["x"], drawn)
        log_mask = self_masking_log_prob(groups[MISSINGNESS], filled, mask, event_ndim)
        ratio = out.log_prior - out.log_posterior
        loss = -losses.iwae_bound(out.log_likelihood + log_mask + kl.weight(ctx.step) * ratio)
        metrics = bound_metrics(model, out.log_likelihood, -jnp.mean(ratio, axis=0))
        metrics |= {"iwae": losses.iwae_bound(out.log_likelihood + ratio), "mask": -jnp.mean(log_mask, axis=0)}
        return out, {"loss": loss, **metrics}, {MISSINGNESS: loss}

    return of_model(model, terms, groups={MISSINGNESS: lambda key: init_self_masking(model.data_shape)})
