"""Objectives that compare images by the features of a fixed network."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxvae import losses
from jaxvae.common.errors import UserError, unknown
from jaxvae.common.types import Array, Params
from jaxvae.models.base import Model
from jaxvae.models.features import NAME, Features
from jaxvae.objectives.base import Objective, bound_metrics, of_model
from jaxvae.objectives.elbo import check_samples, check_weights, kl_estimator, needs_density
from jaxvae.objectives.kl_weight import UNWEIGHTED, KLWeight

DISTANCES = ("feature_matching", "lpips")


def dfc_vae(
    model: Model,
    features: Features,
    kl: KLWeight = UNWEIGHTED,
    weight: float = 100.0,
    distance: str = "feature_matching",
    pixel_weight: float = 0.0,
    num_samples: int = 1,
    kl_estimate: str = "analytic",
) -> Objective:
    """Deep feature consistent VAE: KL + weight D(x, mean of p(x|z)) (Hou et al. 2017, arXiv:1610.00291, section 3).

    D compares features of a fixed network, see `perceptual_loss`. The metric "elbo" is the usual bound of the model,
    which this loss does not maximise.

    Args:
      model: of whole images, or other pixels.
      features: the fixed network; its parameters are the state "features".
      kl: weight of the KL.
      weight: of D, whose layers are means over their values: a layer of unit variance gives some nats.
      distance: "feature_matching" (equation 3 of the paper, a mean instead of a sum) or "lpips".
      pixel_weight: of -log p(x|z) beside it; 0 in the paper.
      num_samples: samples of z per example.
      kl_estimate: as in `elbo`.

    Raises:
      UserError: the posterior is a point, data with missing values or a sequence, a likelihood of more than
        means, a weight below 0, or an unknown distance.
    """
    needs_density(model, "dfc_vae")
    check_samples("dfc_vae", num_samples=num_samples)
    check_weights("dfc_vae", weight=weight, pixel_weight=pixel_weight)
    needs_whole_images(model, "dfc_vae", pixel_weight)
    kl_terms = kl_estimator(model, kl_estimate)
    compare = perceptual_loss(features, distance)

    def terms(params, batch, key, ctx, groups):
        check_whole(batch, "dfc_vae")
        out = model.forward(params, key, batch, num_samples, is_training=ctx.is_training)
        parts = kl_terms(out)
        metrics = bound_metrics(model, out.log_likelihood, jnp.sum(parts, axis=0))
        perceptual = compare(groups[NAME], batch["x"], out.likelihood.mean)
        loss = kl.term(parts, ctx.step) + weight * perceptual
        loss += pixel_weight * metrics["reconstruction"] if pixel_weight else 0.0
        return out, {"loss": loss, "perceptual": perceptual, **metrics}

    return of_model(model, terms, kl.whole_batch, fixed={NAME: features.init}, loops=features.loops)


def perceptual_loss(features: Features, distance: str = "feature_matching") -> Callable[[Params, Array, Array], Array]:
    """Return `(params, x [B, *data_shape], reconstructions [K, B, *data_shape]) -> [B]`, the mean over K of a distance.

    "feature_matching" is half the mean squared difference of each layer, summed over layers with their weights (see
    `losses.feature_matching`); "lpips" compares unit vectors of channels, weighted by the heads of LPIPS where the
    parameters hold them (see `losses.perceptual_distance`).

    Raises:
      UserError: an unknown distance.
    """
    if distance not in DISTANCES:
        raise unknown("distance", distance, DISTANCES)

    def compare(params: Params, x: Array, reconstructions: Array) -> Array:
        targets = features.layers(params, x)
        channels = [weight * head for weight, head in zip(features.weights, features.heads(params), strict=True)]

        def one(reconstruction: Array) -> Array:
            found = features.layers(params, reconstruction)
            if distance == "lpips":
                return losses.perceptual_distance(found, targets, channels)
            return losses.feature_matching(found, targets, features.weights)

        return jnp.mean(jax.vmap(one)(reconstructions), axis=0)

    return compare


def needs_whole_images(model: Model, objective: str, pixel_weight: float) -> None:
    """Raise UserError for data that features cannot compare, and a likelihood of more than means."""
    if model.data.is_sequential:
        raise UserError(f"The objective '{objective}' compares images by their features, and sequences have none.")
    check_whole({"mask": None} if model.mask_input else {}, objective)
    has_params = jax.tree.leaves(jax.eval_shape(model.likelihood.init, jax.random.key(0)))
    if not pixel_weight and (has_params or model.likelihood.outputs_per_value > 1):
        raise UserError(
            f"The objective '{objective}' with objective.pixel_weight=0 compares means alone, and this likelihood has "
            "a learned spread, or more outputs of the decoder than a mean for each value: set objective.pixel_weight "
            "above 0, or take a likelihood of means alone, 'bernoulli' or 'gaussian' for example."
        )


def check_whole(batch: Mapping[str, Any], objective: str) -> None:
    """Raise UserError for a batch with a mask of observed values."""
    if "mask" in batch:
        raise UserError(
            f"The objective '{objective}' compares whole examples by their features, and values of this data are "
            "missing. Take an objective of a likelihood that is a product over values, 'elbo' for example."
        )
