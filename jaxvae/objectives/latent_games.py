"""Objectives whose discriminator tells latents from draws of the prior: the adversarial autoencoder and WAE-GAN."""

import jax
import jax.numpy as jnp

from jaxvae.common.types import Array, Key
from jaxvae.distributions.components import component_draws
from jaxvae.models.base import Model, Pass
from jaxvae.models.clusters import of_components
from jaxvae.models.discriminator import NAME, MakeDiscriminator, of_latents
from jaxvae.models.facts import Labels
from jaxvae.objectives.adversaries import Game, make_game, of_game
from jaxvae.objectives.base import Objective, needs_fixed_prior
from jaxvae.objectives.elbo import check_weights, needs_exact_samples
from jaxvae.objectives.matching import BY_SAMPLES, prior_draws

COMPARES = "compares samples of q(z) with the prior's"


def adversarial_autoencoder(
    model: Model,
    discriminator: MakeDiscriminator,
    data_labels: Labels | None = None,
    weight: float = 1.0,
    use_labels: bool = False,
    loss: str = "non_saturating",
    r1: float = 0.0,
    gradient_penalty: float = 0.0,
) -> Objective:
    """Adversarial autoencoder: reconstruction + weight L_G(q(z)) (Makhzani et al. 2015, arXiv:1511.05644, section 2).

    The discriminator tells draws of the prior from z of q(z|x); L_G is the generator's loss of z, which moves the
    encoder. The paper's two phases are one step here, so that `weight` decides between them.

    Args:
      model: its posterior's samples need gradients ('delta' fits). Only samples of its prior are used: nothing trains a
        prior with parameters, which keeps the initial ones.
      discriminator: builds that of z: "discriminator", a group of parameters.
      data_labels: the classes, where the data has labels.
      weight: of L_G.
      use_labels: whether the discriminator gets the label beside z (section 2.3): a component of a mixture prior for
        each class, whose draws belong to the class. Examples without a label are compared with all of the prior.
      loss: "non_saturating", "hinge", "least_squares" or "wasserstein", the losses of both sides.
      r1: weight of the discriminator's penalty R1 (Mescheder et al. 2018, arXiv:1801.04406, equation 9).
      gradient_penalty: weight of its gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028, equation 3).

    Raises:
      UserError: labels asked for, but the data has none, or the prior has not a component for each class; an unknown
        loss, a weight below 0, or a relaxed posterior.
    """
    labels = of_components(model, data_labels) if use_labels else None
    size = labels.num + 1 if labels else 0
    game = make_game("adversarial_autoencoder", of_latents(model, discriminator, size), loss, r1, gradient_penalty)
    return _matched("adversarial_autoencoder", model, game, weight, labels)


def wae_gan(
    model: Model,
    discriminator: MakeDiscriminator,
    weight: float = 10.0,
    loss: str = "non_saturating",
    r1: float = 0.0,
    gradient_penalty: float = 0.0,
) -> Objective:
    """Wasserstein autoencoder with a discriminator: reconstruction + weight L_G(q(z)) (arXiv:1711.01558, algorithm 1).

    Args:
      model: its posterior's samples need gradients ('delta' fits); its prior must be fixed.
      discriminator: builds that of z: "discriminator", a group of parameters.
      weight: lambda; the paper uses 10 for MNIST, with squared errors summed over pixels.
      loss: "non_saturating", as in the paper, "hinge", "least_squares" or "wasserstein", the losses of both sides.
      r1: weight of the discriminator's penalty R1 (Mescheder et al. 2018, arXiv:1801.04406, equation 9).
      gradient_penalty: weight of its gradient penalty (Gulrajani et al. 2017, arXiv:1704.00028, equation 3).

    Raises:
      UserError: an unknown loss, a weight below 0, a prior with parameters, a relaxed posterior.
    """
    needs_fixed_prior(model, "wae_gan", BY_SAMPLES)
    game = make_game("wae_gan", of_latents(model, discriminator), loss, r1, gradient_penalty)
    return _matched("wae_gan", model, game, weight)


def _matched(name: str, model: Model, game: Game, weight: float, labels: Labels | None = None) -> Objective:
    check_weights(name, weight=weight)
    needs_exact_samples(model, name, COMPARES)

    def terms(params, batch, key, ctx, groups):
        pass_key, prior_key, penalty_key = jax.random.split(key, 3)
        class_key = jax.random.fold_in(prior_key, 2**31 - 3)  # small numbers give the keys of a split
        out = model.forward(params, pass_key, batch, is_training=ctx.is_training)
        size = len(batch["x"])
        prior_z, context = prior_draws(out, prior_key), None
        if labels:
            index = labels.index(batch.get("label", jnp.full(size, -1)))
            prior_z = _of_classes(out, class_key, index, prior_z)
            context = jax.nn.one_hot(jnp.where(index < 0, labels.num, index), labels.num + 1)
        z = out.z[0].reshape(size, -1)
        fooled = game.fool(groups[NAME], [z], context)
        reconstruction = -out.log_likelihood[0]
        metrics = {"loss": reconstruction + weight * fooled, "reconstruction": reconstruction}
        metrics |= game.judge(groups[NAME], prior_z.reshape(size, -1), [z], penalty_key, context)
        return out, {**metrics, "generator_loss": fooled}

    return of_game(model, game.discriminator, terms)


def _of_classes(out: Pass, key: Key, index: Array, other: Array) -> Array:
    """Draw z of the component of each class `[B]`, `[B, *latent_shape]`; `other` where the class is -1."""
    drawn = component_draws(out.prior, key, 1 if out.prior.batch_shape else len(index))
    drawn = drawn.reshape(len(index), -1, *other.shape[1:])  # [B, C, *latent_shape]
    own = drawn[jnp.arange(len(index)), jnp.maximum(index, 0)]
    return jax.lax.stop_gradient(jnp.where((index < 0).reshape(-1, *(1,) * (own.ndim - 1)), other, own))
