"""VAE-GAN: reconstruction in the features of a discriminator."""

from functools import partial

import jax
import jax.numpy as jnp

from jaxvae import losses
from jaxvae.common.errors import UserError
from jaxvae.models.base import Model
from jaxvae.models.discriminator import NAME, Discriminator, MakeDiscriminator, judged, of_data
from jaxvae.objectives.adversaries import decoded_means, make_game, of_game
from jaxvae.objectives.base import Objective, bound_metrics
from jaxvae.objectives.elbo import check_weights, kl_estimator, needs_density
from jaxvae.objectives.kl_weight import UNWEIGHTED, KLWeight
from jaxvae.objectives.matching import prior_draws


def vae_gan(
    model: Model,
    discriminator: MakeDiscriminator,
    kl: KLWeight = UNWEIGHTED,
    gamma: float = 1.0,
    layer: int = -1,
    loss: str = "non_saturating",
    r1: float = 0.0,
    gradient_penalty: float = 0.0,
    kl_estimate: str = "analytic",
) -> Objective:
    """VAE-GAN: reconstruction in the features of a discriminator (Larsen et al. 2016, arXiv:1512.09300).

    With d = |D_l(x) - D_l(x')|^2 / 2, the distance of a reconstruction x' in layer l of the discriminator D (equation
    7, without its constant), and L_G the generator's loss of x' and of a decoded draw of the prior x'' (algorithm 1):
      the encoder minimises KL(q(z|x) || p(z)) + d,
      the decoder minimises gamma d + L_G(x', x''),
      the discriminator tells x from x' and x'', which weigh half each.
    The metric "loss" is KL + gamma d + L_G.

    Args:
      model: p(x|z) gives x' as its mean; its own log-likelihood is reported, but not trained.
      discriminator: builds that of x: "discriminator", a group of parameters.
      kl: weight of the KL.
      gamma: weight of d for the decoder.
      layer: l, a hidden layer of the discriminator; -1 is the last one.
      loss: "non_saturating", "hinge", "least_squares" or "wasserstein", the losses of both sides.
      r1: weight of the discriminator's penalty R1 (Mescheder et al. 2018, arXiv:1801.04406, equation 9).
      gradient_penalty: weight of its gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028, equation 3).
      kl_estimate: as in `elbo`.

    Raises:
      UserError: the posterior is a point, the likelihood has parameters of its own or means unlike data, no such layer,
        an unknown loss, or a weight below 0.
    """
    needs_density(model, "vae_gan")
    check_weights("vae_gan", gamma=gamma)
    if "likelihood" in jax.eval_shape(model.init, jax.random.key(0)):
        raise UserError(
            "The objective 'vae_gan' compares means of p(x|z) with x, so that a learned scale of the likelihood would "
            "keep its initial value: take a likelihood without one, 'squared_error' for example."
        )
    game = make_game("vae_gan", of_data(model, discriminator), loss, r1, gradient_penalty)
    _check_layer(game.discriminator, model, layer)
    kl_terms = kl_estimator(model, kl_estimate)

    def terms(params, batch, key, ctx, groups):
        pass_key, prior_key, decoder_key, penalty_key = jax.random.split(key, 4)
        out = model.forward(params, pass_key, batch, is_training=ctx.is_training)
        z = jnp.stack([jax.lax.stop_gradient(out.z[0]), prior_draws(out, prior_key)])
        # The reconstruction again, with other dropout, whose gradients reach the decoder alone.
        means = decoded_means(model, params, z, batch, decoder_key if ctx.is_training else None)
        read = partial(judged, model, mask=batch.get("mask"))
        real, again, drawn, context = read(out.x), read(means[0]), read(means[1]), batch.get("context")
        fixed = jax.lax.stop_gradient(groups[NAME])

        def features(x):
            return game.discriminator.features(fixed, x, context)[layer]

        distance, of_decoder = (
            0.5 * losses.squared_error(features(x), features(real)) for x in (read(out.likelihood.mean[0]), again)
        )
        metrics = {"feature_distance": distance, "generator_loss": game.fool(groups[NAME], [again, drawn], context)}
        metrics |= game.judge(groups[NAME], real, [again, drawn], penalty_key, context)
        per_latent = kl_terms(out)
        metrics |= bound_metrics(model, out.log_likelihood, jnp.sum(per_latent, axis=0))
        # d moves encoder and decoder, so that the decoder has gamma - 1 to add.
        reconstruction = distance + (gamma - 1) * of_decoder
        return out, {**metrics, "loss": kl.term(per_latent, ctx.step) + reconstruction + metrics["generator_loss"]}

    return of_game(model, game.discriminator, terms, kl.whole_batch)


def _check_layer(discriminator: Discriminator, model: Model, layer: int) -> None:
    """Raise UserError unless the discriminator has this hidden layer."""

    def features(key):
        x = jnp.zeros((1, *model.data_shape))
        context = jnp.zeros((1, model.context_dim)) if model.context_dim else None
        return discriminator.features(discriminator.init(key), judged(model, x), context)

    num = len(jax.eval_shape(features, jax.random.key(0)))
    if not -num <= layer < num:
        has = f"{num} hidden layers, numbered from 0 or, from the last one, from -1" if num else "no hidden layer"
        raise UserError(f"objective.layer is {layer}, but the discriminator has {has}.")
