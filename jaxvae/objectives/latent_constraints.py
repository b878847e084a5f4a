"""Draw and change codes of a trained model by attributes: an actor against a critic in its latent space."""

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array
from jaxvae.models.base import Model
from jaxvae.models.discriminator import NAME, MakeDiscriminator
from jaxvae.models.facts import SPREAD, Batch
from jaxvae.objectives.adversaries import decoded_means, make_game, of_game
from jaxvae.objectives.base import Objective
from jaxvae.objectives.elbo import check_weights
from jaxvae.objectives.matching import prior_draws


def latent_constraints(
    model: Model,
    discriminator: MakeDiscriminator,
    distance: float = 0.001,
    loss: str = "non_saturating",
    r1: float = 0.0,
    gradient_penalty: float = 0.0,
) -> Objective:
    """Latent constraints: G(z, y) is a code that an example with the attributes y could have, near z.

    The critic D(z, y) tells the codes of examples with their own attributes from four kinds of others, with attributes
    y' of a random example: prior draws z and what the actor makes of them (realism), and codes of examples and what it
    makes of those (attributes). The actor minimises the generator's loss of G(z, y') for prior draws and codes, half
    each, and `distance` times their mean L_dist, where sigma^2 is the mean variance of the batch's q(z|x):
      L_dist = sum_d log(1 + (G(z, y')_d - z_d)^2) / sigma_d^2
    (Engel et al. 2018, arXiv:1711.05772, section 3).

    Args:
      model: an actor, see `models.make_actor`, on the codes of a first stage.
      discriminator: builds the critic, of z and y joined: "discriminator", a group of parameters.
      distance: weight of L_dist: how much a code stays itself. sigma is 1 where q(z|x) of the first stage is no
        Gaussian, of an adversarial autoencoder for example.
      loss: as in `vae_gan`.
      r1: as in `vae_gan`.
      gradient_penalty: as in `vae_gan`.

    The metric "reconstruction" is |G(z, y) - z|^2 / 2 for codes at their own attributes.

    Raises:
      UserError: the model is not an actor, an unknown loss, or a weight below 0.
    """
    if not model.latent.is_moved:
        raise UserError(
            "The objective 'latent_constraints' trains an actor on the codes of a trained model: set model.name=actor, "
            "stage_of to the folder of its run, and data.context to the attributes, 'label' for example."
        )
    check_weights("latent_constraints", distance=distance)
    size = model.data_shape[0] + model.context_dim
    game = make_game("latent_constraints", discriminator((size,)), loss, r1, gradient_penalty)

    def terms(params, batch, key, ctx, groups):
        pass_key, prior_key, order_key, actor_key, penalty_key = jax.random.split(key, 5)
        out = model.forward(params, pass_key, batch, is_training=ctx.is_training)
        own, asked = batch["context"], jax.random.permutation(order_key, batch["context"])
        z = jnp.stack([out.x, prior_draws(out, prior_key)])
        noise = actor_key if ctx.is_training else None
        moved = decoded_means(model, params, z, {**batch, "context": asked}, noise)
        made, drawn = ([_joined(each, asked) for each in both] for both in (moved, z))
        is_own = jnp.all(own == asked, axis=1, keepdims=True)
        false = jnp.where(is_own, drawn[1], drawn[0])  # codes of examples that lack the attributes
        away = jnp.log1p(jnp.square(moved - z)) / jnp.mean(jnp.square(_spread(batch)), axis=0)
        metrics = {"distance": jnp.mean(jnp.sum(away, axis=-1), axis=0)}
        metrics |= {"generator_loss": game.fool(groups[NAME], made)}
        metrics |= game.judge(groups[NAME], _joined(out.x, own), [*made, drawn[1], false], penalty_key)
        metrics["reconstruction"] = 0.5 * jnp.sum(jnp.square(out.likelihood.mean[0] - out.x), axis=-1)
        return out, {**metrics, "loss": metrics["generator_loss"] + distance * metrics["distance"]}

    return of_game(model, game.discriminator, terms, "attributes are those of other examples of the batch")


def _joined(z: Array, context: Array) -> Array:
    return jnp.concatenate([z, context], axis=-1)


def _spread(batch: Batch) -> Array:
    """Return the deviations of q(z|x) `[B, D]`; ones where they are not known."""
    return batch.get(SPREAD, jnp.ones_like(batch["x"]))
