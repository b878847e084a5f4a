"""Importance-weighted bounds, and gradient estimators for them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxvae import losses
from jaxvae.common.errors import UserError, unknown
from jaxvae.common.types import Array
from jaxvae.models.base import Model, decoded, draw, encoded
from jaxvae.objectives.base import Objective, bound_metrics, of_model
from jaxvae.objectives.elbo import (
    check_prior_gradient,
    check_samples,
    needs_density,
    needs_exact_samples,
    path_log_prob,
)
from jaxvae.objectives.kl_weight import UNWEIGHTED, KLWeight
from jaxvae.objectives.missingness import not_miwae

GRADIENTS = ("pathwise", "stl", "dreg")


def iwae(
    model: Model,
    kl: KLWeight = UNWEIGHTED,
    num_samples: int = 50,
    gradient: str = "pathwise",
    not_missing_at_random: bool = False,
) -> Objective:
    """Importance-weighted bound with K = `num_samples` (Burda et al. 2015, arXiv:1509.00519, equation 8).

    Args:
      model: its posterior needs a density.
      kl: factor of log p(z) - log q(z|x) within the importance weights.
      num_samples: K.
      gradient: gradient estimator of the encoder: "pathwise", of the bound itself; "stl" without its score term
        (arXiv:1703.09194: unbiased only for K = 1); "dreg", doubly reparameterised (Tucker et al. 2018,
        arXiv:1810.04152, equation 8: unbiased, with a signal that does not fade with K).
      not_missing_at_random: learn how a value decides whether it is missing, and bound log p(x_observed, mask): see
        `missingness.not_miwae`. Only with "pathwise".

    Raises:
      UserError: no samples, an unknown gradient, a posterior without density, a KL weight that is not a factor, or
        draws from the likelihood without a gradient.
    """
    if not_missing_at_random:
        _check(model, kl, "iwae", 1, num_samples, gradient)
        if gradient != "pathwise":
            raise UserError("objective.not_missing_at_random needs objective.gradient=pathwise.")
        return not_miwae(model, kl, num_samples)
    return _weighted(model, kl, "iwae", 1, num_samples, gradient, lambda w: (losses.iwae_bound(w),) * 2)


def miwae(model: Model, kl: KLWeight = UNWEIGHTED, num_bounds: int = 8, num_samples: int = 8) -> Objective:
    """Mean of `num_bounds` IWAE bounds of K = `num_samples` (Rainforth et al. 2018, arXiv:1802.04537).

    Args:
      model: its posterior needs a density.
      kl: factor of log p(z) - log q(z|x) within the importance weights.
      num_bounds: M, bounds for each example, whose mean is taken.
      num_samples: K, samples of z for each bound.
    """
    split = _splitter(num_bounds, num_samples)
    bounds = lambda w: (losses.miwae_bound(split(w)),) * 2  # noqa: E731
    return _weighted(model, kl, "miwae", num_bounds, num_samples, "pathwise", bounds)


def ciwae(model: Model, kl: KLWeight = UNWEIGHTED, num_samples: int = 50, mix: float = 0.5) -> Objective:
    """Combination IWAE: `mix` ELBO + (1 - `mix`) IWAE bound (arXiv:1802.04537).

    Args:
      model: its posterior needs a density.
      kl: factor of log p(z) - log q(z|x) within the importance weights.
      num_samples: K.
      mix: weight of the ELBO, from 0 (IWAE) to 1 (ELBO); beta in the paper.

    Raises:
      UserError: `mix` is not in [0, 1].
    """
    if not 0 <= mix <= 1:
        raise UserError(f"objective.mix is {mix}; it must be from 0 (IWAE) to 1 (ELBO).")

    return _weighted(model, kl, "ciwae", 1, num_samples, "pathwise", lambda w: (losses.ciwae_bound(w, mix),) * 2)


def piwae(model: Model, kl: KLWeight = UNWEIGHTED, num_bounds: int = 8, num_samples: int = 8) -> Objective:
    """Partial IWAE: IWAE over all samples for the decoder, MIWAE for the encoder (arXiv:1802.04537).

    Args:
      model: its posterior needs a density.
      kl: factor of log p(z) - log q(z|x) within the importance weights.
      num_bounds: M, bounds of the encoder's mean.
      num_samples: K, samples of z for each of them; the decoder's bound has M K.
    """
    split = _splitter(num_bounds, num_samples)
    bounds = lambda w: (losses.iwae_bound(w), losses.miwae_bound(split(w)))  # noqa: E731
    return _weighted(model, kl, "piwae", num_bounds, num_samples, "pathwise", bounds, one_bound=False)


def _splitter(num_bounds: int, num_samples: int) -> Callable[[Array], Array]:
    """Return the reshape from `[M K, B]` to `[M, K, B]`."""
    return lambda log_weights: log_weights.reshape(num_bounds, num_samples, -1)


def _check(model: Model, kl: KLWeight, name: str, num_bounds: int, num_samples: int, gradient: str) -> None:
    """Raise UserError for what the bound of importance weights cannot take."""
    needs_density(model, name)
    check_samples(name, num_bounds=num_bounds, num_samples=num_samples)
    if gradient not in GRADIENTS:
        raise unknown("gradient", gradient, GRADIENTS)
    if not kl.is_linear:
        raise UserError(
            f"The objective '{name}' has its KL inside a logarithm, which takes only a factor: take the kl weight "
            "'constant', 'linear' or 'cyclic'."
        )
    needs_exact_samples(model, name, "weighs samples by their density")
    if gradient == "dreg" and model.latent.space.is_discrete:
        raise UserError(
            "The gradient 'dreg' replaces the score of a reparameterised density by a path through its samples, but a "
            "posterior over codes has no such density: take objective.gradient=pathwise."
        )


def _weighted(model, kl, name, num_bounds, num_samples, gradient, bounds, one_bound=True) -> Objective:
    """Build an objective from `bounds(log_weights [M K, B]) -> (decoder's bound, encoder's bound)`, each `[B]`.

    The loss is the decoder's bound. With `one_bound` both are the same, and one gradient serves both.
    """
    _check(model, kl, name, num_bounds, num_samples, gradient)
    total = num_bounds * num_samples

    def terms(params, batch, key, ctx):
        beta, noise = kl.weight(ctx.step), key if ctx.is_training else None
        posterior, state = encoded(model, params, batch, noise)
        z, log_posterior = draw(key, posterior, total)

        def through(params, z):
            out = decoded(model, params, batch, posterior, (z, log_posterior), noise)
            return out._replace(state={**state, **out.state})

        to_add = 0.0
        if gradient == "dreg":
            z, to_add = _doubly_reparameterized(
                z, jnp.zeros_like(log_posterior), jnp.asarray(beta, log_posterior.dtype)
            )
        out = through(params, z)
        check_prior_gradient(model, out)
        log_likelihood, log_prior = out.log_likelihood, out.log_prior
        if one_bound:
            log_q = log_posterior if gradient == "pathwise" else path_log_prob(posterior, z)
            loss = -bounds(log_likelihood + beta * (log_prior - log_q) + to_add)[0]
        else:
            loss = _two_paths(params, z, through, beta)
        kl_estimate = jnp.mean(log_posterior - log_prior, axis=0)
        metrics = bound_metrics(model, log_likelihood, kl_estimate)
        if model.has_likelihood:
            metrics["iwae"] = losses.iwae_bound(log_likelihood + log_prior - log_posterior)
        return out, {"loss": loss, **metrics}

    def _two_paths(params, z, through, beta):
        """Compute a loss whose gradient is one bound's for the model and another's for the encoder, at the same z."""
        stop = jax.lax.stop_gradient
        out = through(params, stop(z))
        of_model_ = out.log_likelihood + beta * (out.log_prior - stop(out.log_posterior))
        out = through(stop(params), z)
        of_encoder = out.log_likelihood + beta * (out.log_prior - out.log_posterior)
        weights = stop(of_model_)
        for_model = jax.grad(lambda w: jnp.sum(bounds(w)[0]))(weights)
        for_encoder = jax.grad(lambda w: jnp.sum(bounds(w)[1]))(weights)
        surrogate = jnp.sum(stop(for_model) * of_model_ + stop(for_encoder) * of_encoder, axis=0)
        value = bounds(weights)[0]
        return -(stop(value) + surrogate - stop(surrogate))

    return of_model(model, terms)


@jax.custom_vjp
def _doubly_reparameterized(z: Array, zeros: Array, beta: Array) -> tuple[Array, Array]:
    """Return `(z, zeros)` that give a bound the gradient "dreg", where it uses this z and adds the zeros to log w.

    The cotangent of the zeros `[K, B]` of one IWAE bound is the normalised importance weight w of each sample, up to
    a factor shared by all samples of an example; w sums to 1. So one backward pass through the decoder serves both
    gradients: that of the parameters has the weights w, that through z `[K, B, ...]` has (1 - beta) w + beta w^2, which
    is w minus the score's beta (w - w^2), and the paper's w^2 for beta = 1.
    """
    del beta
    return z, zeros


def _doubly_reparameterized_forward(z, zeros, beta):
    return (z, zeros), beta


def _doubly_reparameterized_backward(beta, slopes):
    of_z, of_weights = slopes
    total = jnp.sum(of_weights, axis=0)
    weights = of_weights / jnp.where(total == 0, 1.0, total)
    factor = (1 - beta) + beta * weights
    return of_z * factor.reshape(factor.shape + (1,) * (of_z.ndim - factor.ndim)), of_weights, jnp.zeros_like(beta)


_doubly_reparameterized.defvjp(_doubly_reparameterized_forward, _doubly_reparameterized_backward)
