"""Image autoencoders as latent diffusion and image transformers use them: pixels, features and an adversary."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.ranges import NOT_NEGATIVE, check
from jaxvae.common.types import Array, Key, Params
from jaxvae.models.base import Model, context_args, noise_key
from jaxvae.models.discriminator import NAME as DISCRIMINATOR
from jaxvae.models.discriminator import MakeDiscriminator, judged, of_data
from jaxvae.models.facts import Batch
from jaxvae.models.features import NAME as FEATURES
from jaxvae.models.features import Features
from jaxvae.objectives.adversaries import make_game, of_game
from jaxvae.objectives.base import Objective, bound_metrics
from jaxvae.objectives.elbo import check_weights, kl_estimator, needs_density
from jaxvae.objectives.kl_weight import UNWEIGHTED, KLWeight
from jaxvae.objectives.perceptual import check_whole, needs_whole_images, perceptual_loss

SMALLEST, LARGEST = 1e-6, 1e4  # added to the adversary's slope, and the greatest adaptive weight


def image_autoencoder(
    model: Model,
    discriminator: MakeDiscriminator,
    features: Features | None = None,
    kl: KLWeight = UNWEIGHTED,
    pixel_weight: float = 1.0,
    perceptual_weight: float = 1.0,
    distance: str = "lpips",
    discriminator_weight: float = 0.5,
    adaptive: bool = True,
    start: int = 0,
    loss: str = "hinge",
    r1: float = 0.0,
    gradient_penalty: float = 0.0,
    kl_estimate: str = "analytic",
) -> Objective:
    """Autoencoder of images: R + KL + discriminator_weight a L_G (Esser et al. 2021, arXiv:2012.09841, equation 6).

    R = pixel_weight (-log p(x|z)) + perceptual_weight D(x, x'), with x' the mean of p(x|z) and D in the features of a
    fixed network. L_G is the loss of x' before a discriminator of images or their patches. The adaptive weight is
    a = |slope of R| / (|slope of L_G| + 1e-6), at most 1e4, of the batch means by the decoder's last layer (equation
    7). Codebooks add their commitment loss; with a Gaussian posterior and a small kl.beta this is the first stage of
    latent diffusion (Rombach et al. 2022, arXiv:2112.10752, appendix G).

    Args:
      model: its latent may be spatial, see `networks.resnet`.
      discriminator: builds that of x, "discriminator", a group of parameters.
      features: of D; None for R without it.
      kl: weight of the KL; of codes with a uniform prior the KL is constant.
      pixel_weight: of -log p(x|z), summed over pixels.
      perceptual_weight: of D, a mean over positions.
      distance: of D: "lpips" or "feature_matching", see `perceptual_loss`.
      discriminator_weight: of the adversary.
      adaptive: whether a is as above; 1 otherwise.
      start: training steps after which the discriminator trains, and is listened to.
      loss: "hinge", "non_saturating", "least_squares" or "wasserstein", the losses of both sides.
      r1: weight of the discriminator's penalty R1 (Mescheder et al. 2018, arXiv:1801.04406, equation 9).
      gradient_penalty: weight of its gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028, equation 3).
      kl_estimate: as in `elbo`.

    Raises:
      UserError: the posterior is a point, data with missing values or a sequence, no pixels and a likelihood of more
        than means, a decoder without a known last layer, or an option out of its range.
    """
    needs_density(model, "image_autoencoder")
    weights = {"pixel_weight": pixel_weight, "perceptual_weight": perceptual_weight}
    check_weights("image_autoencoder", **weights, discriminator_weight=discriminator_weight)
    check("objective", "image_autoencoder", start=(start, NOT_NEGATIVE))
    needs_whole_images(model, "image_autoencoder", pixel_weight)
    if adaptive and not model.last_layer:
        raise UserError(
            "The objective 'image_autoencoder' weighs its adversary by slopes at the decoder's last layer, which this "
            "network does not name: give its Flax module the attribute `last_layer`, or set objective.adaptive=False."
        )
    game = make_game("image_autoencoder", of_data(model, discriminator), loss, r1, gradient_penalty)
    kl_terms = kl_estimator(model, kl_estimate)
    compare = perceptual_loss(features, distance) if features is not None else None

    def terms(params, batch, key, ctx, groups):
        check_whole(batch, "image_autoencoder")
        pass_key, penalty_key = jax.random.split(key)
        out = model.forward(params, pass_key, batch, is_training=ctx.is_training)
        read, x, context = partial(judged, model), out.x, batch.get("context")

        def restored(likelihood: Any) -> tuple[Array, dict[str, Array]]:
            pixels = -likelihood.log_prob(x)[0]
            if compare is None:
                return pixel_weight * pixels, {}
            perceptual = compare(groups[FEATURES], x, likelihood.mean)
            return pixel_weight * pixels + perceptual_weight * perceptual, {"perceptual": perceptual}

        def fooled(likelihood: Any) -> Array:
            return game.fool(groups[DISCRIMINATOR], [read(likelihood.mean[0])], context)

        restoration, metrics = restored(out.likelihood)
        generator_loss = fooled(out.likelihood)
        weight = jnp.ones(())
        if adaptive:
            again = partial(_decoded, model, params, out.z, batch, pass_key if ctx.is_training else None)
            weight = adaptive_weight(
                params["decoder"][model.last_layer],
                lambda last: jnp.mean(restored(again(last))[0]),
                lambda last: jnp.mean(fooled(again(last))),
            )
        is_on = jnp.asarray(ctx.step >= start, jnp.float32)
        judgement = game.judge(groups[DISCRIMINATOR], read(x), [read(out.likelihood.mean[0])], penalty_key, context)
        judgement["discriminator_loss"] *= is_on
        per_latent = kl_terms(out)
        metrics |= bound_metrics(model, out.log_likelihood, jnp.sum(per_latent, axis=0))
        metrics |= {**judgement, "generator_loss": generator_loss, "adversarial_weight": is_on * weight}
        total = restoration + kl.term(per_latent, ctx.step) + discriminator_weight * is_on * weight * generator_loss
        return out, {"loss": total, **metrics}

    whole_batch = "the weight of the adversary follows slopes of the whole batch" if adaptive else kl.whole_batch
    fixed = {} if features is None else {FEATURES: features.init}
    return of_game(model, game.discriminator, terms, whole_batch, fixed, features is None or features.loops)


def adaptive_weight(last: Params, restoration: Any, generator: Any) -> Array:
    """|slope of R| / (|slope of L_G| + 1e-6), at most 1e4, without a gradient (arXiv:2012.09841, equation 7).

    Args:
      last: parameters of the decoder's last layer.
      restoration: `last -> []`, R.
      generator: `last -> []`, L_G.
    """
    last = jax.lax.stop_gradient(last)
    slopes = (_norm(jax.grad(loss)(last)) for loss in (restoration, generator))
    of_restoration, of_generator = slopes
    return jax.lax.stop_gradient(jnp.minimum(of_restoration / (of_generator + SMALLEST), LARGEST))


def _norm(tree: Params) -> Array:
    return jnp.sqrt(sum((jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)), jnp.zeros(())))


def _decoded(model: Model, params: Params, z: Array, batch: Batch, key: Key | None, last: Params) -> Any:
    """Return p(x|z) with other parameters of the decoder's last layer, and no gradient to anything else."""
    fixed, z = jax.lax.stop_gradient((params, z))
    changed = {**fixed, "decoder": {**fixed["decoder"], model.last_layer: last}}
    context = context_args(batch.get("context"))
    if model.training is None or key is None:
        return model.decode(changed, z, *context)
    return model.training.decode(changed, noise_key(key), z, *context)[0]
