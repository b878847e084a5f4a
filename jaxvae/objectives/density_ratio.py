"""Objectives whose discriminator estimates the logarithm of a ratio of densities: FactorVAE and AVB."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxvae import losses
from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key
from jaxvae.models.base import Model, Pass, reparameterize
from jaxvae.models.discriminator import NAME, MakeDiscriminator, judged, of_latents
from jaxvae.objectives.adversaries import Game, of_game
from jaxvae.objectives.base import Objective, needs_fixed_prior
from jaxvae.objectives.elbo import check_weights, kl_estimator, needs_density, needs_exact_samples, weighted_elbo
from jaxvae.objectives.kl_weight import UNWEIGHTED, KLWeight
from jaxvae.objectives.latent_games import COMPARES
from jaxvae.objectives.matching import BY_SAMPLES, prior_draws


def factor_vae(
    model: Model,
    discriminator: MakeDiscriminator,
    kl: KLWeight = UNWEIGHTED,
    gamma: float = 10.0,
    kl_estimate: str = "analytic",
) -> Objective:
    """FactorVAE: the ELBO with a penalty on the total correlation of z (Kim & Mnih 2018, arXiv:1802.05983, equation 2).

    The total correlation KL(q(z) || prod_d q(z_d)) is the mean score of z (equation 3), of a discriminator that tells z
    of q(z) from z whose dimensions are permuted over the batch (algorithm 2): its score approaches the log-ratio of
    both densities. The permuted z are second draws of q(z|x) of the same batch, where the paper takes another batch.

    Args:
      model: its posterior needs a density, and z at least 2 dimensions.
      discriminator: builds that of z: "discriminator", a group of parameters.
      kl: weight of the KL.
      gamma: weight of the total correlation, reported as "total_correlation".
      kl_estimate: as in `elbo`.

    Raises:
      UserError: as `elbo`; a weight below 0, a relaxed posterior, or a single latent dimension.
    """
    needs_density(model, "factor_vae")
    needs_exact_samples(model, "factor_vae", COMPARES)
    check_weights("factor_vae", gamma=gamma)
    if model.latent_shape == (1,):
        raise UserError(
            "The objective 'factor_vae' penalises the dependence of latent dimensions, and there is only one: set "
            "model.latent_dim to 2 or more."
        )
    game = Game(of_latents(model, discriminator))
    kl_terms = kl_estimator(model, kl_estimate)

    def terms(params, batch, key, ctx, groups):
        pass_key, second_key, permute_key, penalty_key = jax.random.split(key, 4)
        out = model.forward(params, pass_key, batch, is_training=ctx.is_training)
        z, second = (each.reshape(len(each), -1) for each in (out.z[0], reparameterize(second_key, out.posterior)))
        fixed = jax.lax.stop_gradient(groups[NAME])
        correlation = game.discriminator.scores(fixed, z)
        metrics = weighted_elbo(model, out, kl_terms(out), kl, ctx.step)
        metrics |= game.judge(groups[NAME], z, [losses.permuted_dimensions(permute_key, second)], penalty_key)
        return out, {**metrics, "loss": metrics["loss"] + gamma * correlation, "total_correlation": correlation}

    return of_game(model, game.discriminator, terms, "the dimensions of z are permuted over the whole batch")


def avb(
    model: Model,
    discriminator: MakeDiscriminator,
    kl: KLWeight = UNWEIGHTED,
    adaptive_contrast: bool = True,
    contrast_samples: int = 50,
) -> Objective:
    """Adversarial variational Bayes: the KL by a discriminator T(x, z) (Mescheder et al. 2017, arXiv:1701.04722).

    So q(z|x) may be any sampler, 'implicit' for example. T tells pairs of x and z of q(z|x) from pairs of x and z of
    the prior; where it is optimal, T = log q(z|x) - log p(z), and the loss is T - log p(x|z) (section 3, algorithm 1).
    With adaptive contrast (section 4), T tells z, standardised by the moments of q(z|x), from N(0, I), and the
    estimate of the KL is T + log r(z|x) - log p(z), with r the Gaussian of these moments, which no gradient passes.

    Args:
      model: its posterior draws z with gradients.
      discriminator: builds that of x and z, which it gets as a context: "discriminator", a group of parameters.
      kl: weight of the estimated KL, which is not a bound's while T is not optimal: no "elbo" is reported.
      adaptive_contrast: see above; without it the prior must be fixed.
      contrast_samples: M draws of q(z|x) for its moments, at least 2. Their noise makes the estimated KL too low, by
        about D / M nats for D latent dimensions.

    Raises:
      UserError: the posterior is a point or relaxed, z is not in R^n, x is a sequence, a prior with parameters without
        adaptive contrast, or fewer than 2 samples.
    """
    needs_exact_samples(model, "avb", COMPARES)
    _check_avb(model)
    if adaptive_contrast and contrast_samples < 2:
        raise UserError(f"objective.contrast_samples is {contrast_samples}; moments of q(z|x) need 2 or more.")
    if not adaptive_contrast:
        needs_fixed_prior(model, "avb", f"without adaptive contrast {BY_SAMPLES}")
    shape = model.likelihood.input_shape(model.data_shape, model.mask_input)
    game = Game(discriminator(shape, model.context_dim + model.latent_shape[0]))

    def terms(params, batch, key, ctx, groups):
        pass_key, other_key, moments_key = jax.random.split(key, 3)
        out = model.forward(params, pass_key, batch, is_training=ctx.is_training)
        if adaptive_contrast:
            contrast = _moments(moments_key, out, contrast_samples)
            log_ratio = contrast.log_prob(out.z[0]) - out.log_prior[0]
            z = (out.z[0] - contrast.mean) / jnp.sqrt(contrast.variance)
            other = jax.random.normal(other_key, z.shape)
        else:
            z, other, log_ratio = out.z[0], prior_draws(out, other_key), 0.0
        x = judged(model, out.x, batch.get("mask"))
        given = [batch["context"]] if "context" in batch else []

        def score(params, z):
            return game.discriminator.scores(params, x, jnp.concatenate([*given, z], axis=-1))

        divergence = score(jax.lax.stop_gradient(groups[NAME]), z) + log_ratio
        own = partial(score, groups[NAME])
        metrics = game.compared(own(jax.lax.stop_gradient(z)), [own(jax.lax.stop_gradient(other))])
        reconstruction = -out.log_likelihood[0]
        metrics |= {"reconstruction": reconstruction, "kl": divergence}
        return out, {**metrics, "loss": reconstruction + kl.term(divergence[None], ctx.step)}

    return of_game(model, game.discriminator, terms, kl.whole_batch)


def _moments(key: Key, out: Pass, num: int) -> Any:
    """Return the diagonal Gaussian with the moments of `num` draws of q(z|x), batch shape `[B]`, without gradients."""
    draws: Array = jax.lax.stop_gradient(reparameterize(key, out.posterior, num))
    return dist.Normal(jnp.mean(draws, axis=0), jnp.std(draws, axis=0, ddof=1) + 1e-6).to_event(1)


def _check_avb(model: Model) -> None:
    latent = model.latent
    if not (latent.is_density or latent.is_implicit):
        raise UserError(
            "The objective 'avb' needs a posterior with some spread, and this one, as 'delta', is a point, whose KL to "
            "the prior is infinite: take 'implicit', or 'diagonal_gaussian'."
        )
    if len(latent.shape) != 1 or not latent.space.is_linear:
        raise UserError(
            f"The objective 'avb' compares z in R^n with the prior's, and these latents are in {latent.space}: take "
            "the posterior 'implicit', 'diagonal_gaussian' or a flow."
        )
    if model.data.is_sequential:
        raise UserError(
            "The objective 'avb' has a discriminator that reads x beside z, and there is none for sequences: take "
            "'elbo', or 'adversarial_autoencoder', whose discriminator reads z alone."
        )
