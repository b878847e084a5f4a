"""Amortisation gap: how much closer to p(z|x) a Gaussian comes that is fitted to each example."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params
from jaxvae.distributions.structure import moments, normal_factors, observed_log_prob
from jaxvae.metrics.pareto import LEAST, pareto_k
from jaxvae.models.base import Model, context_args, encode_batch
from jaxvae.models.facts import batch_of


class Gap(NamedTuple):
    """Bounds on log p(x) before and after the refinement of q(z|x), `[B]` each, in nats.

    Attributes:
      elbo: of q(z|x) as the encoder gives it.
      refined_elbo: of the Gaussian fitted to the example.
      log_likelihood: log p(x) by importance weighting with the fitted Gaussian, from below in expectation.
      pareto_k: of these weights.
    """

    elbo: Array
    refined_elbo: Array
    log_likelihood: Array
    pareto_k: Array

    @property
    def amortization(self) -> Array:
        """Return the amortisation gap: the ELBO that the encoder loses against a fit to each example."""
        return self.refined_elbo - self.elbo

    @property
    def approximation(self) -> Array:
        """Return the approximation gap: the KL from the fitted Gaussian to p(z|x)."""
        return self.log_likelihood - self.refined_elbo


def amortization_gap(
    model: Model,
    params: Params,
    key: Key,
    x: Array,
    num_steps: int = 300,
    num_samples: int = 8,
    learning_rate: float = 0.1,
    num_judged: int = 256,
    context: Array | None = None,
    mask: Array | None = None,
) -> Gap:
    """Refine q(z|x) for each example with the decoder fixed (Cremer, Li & Duvenaud 2018, arXiv:1801.03558, section 3).

    The refined q is of the encoder's family, a Gaussian with a diagonal or a full covariance. It begins at the
    encoder's q(z|x) and takes `num_steps` steps of Adam on the ELBO, with a rate that falls to 0 and the gradient of
    Roeder et al. 2017 (arXiv:1703.09194), which vanishes where q is p(z|x). A fit that ends too early makes the gap too
    small. Both ELBOs are means over the same `num_judged` draws of noise, which the fit has not seen.

    Args:
      model: with a Gaussian q(z|x), a prior and a likelihood that are densities.
      params: its parameters.
      key: for all draws.
      x: `[B, *data_shape]`.
      num_steps: steps of Adam.
      num_samples: draws of z for each example and step.
      learning_rate: in standard deviations of the encoder's q(z|x).
      num_judged: draws of z for each example that the bounds are means of.
      context: `[B, C]` of a conditional model.
      mask: bool of the shape of x, True where a value is observed: the bounds are of log p(x_observed).

    Raises:
      UserError: a posterior that is not Gaussian, a likelihood that is not a density, or numbers that are too small.
    """
    for name, value, least in (("num_steps", num_steps, 1), ("num_samples", num_samples, 1)):
        if value < least:
            raise UserError(f"The amortisation gap got {name}={value}; it must be {least} or more.")
    if num_judged < LEAST:
        raise UserError(f"The amortisation gap got num_judged={num_judged}; it must be {LEAST} or more.")
    if not model.likelihood.is_density:
        raise UserError("The amortisation gap needs a likelihood that is a density; the reconstruction loss is not.")
    posterior: Any = encode_batch(model, params, batch_of(x, context, mask))
    if moments(posterior) is None:
        raise UserError(
            "The amortisation gap refines a Gaussian q(z|x), and this posterior is not one: take the posterior "
            "'diagonal_gaussian' or 'full_covariance'."
        )
    prior: Any = model.prior(params, *context_args(context))
    start, gaussian = _family(posterior)
    fit_key, judge_key = jax.random.split(key)

    def log_weights(key: Key, fit: Params, num: int) -> Array:
        """Return log p(x, z) - log q(z) `[num, B]` of draws from a fit; gradients flow through z alone."""
        z: Any = gaussian(fit).rsample(key, (num,))
        likelihood = model.decode(params, z, *context_args(context))
        log_joint = observed_log_prob(likelihood, x, mask) + prior.log_prob(z)
        return log_joint - gaussian(jax.lax.stop_gradient(fit)).log_prob(z)

    def step(state: tuple, index: Array) -> tuple[tuple, None]:
        fit, optimizer_state = state
        drawn = jax.random.fold_in(fit_key, index)
        slope = jax.grad(lambda fit: -jnp.sum(jnp.mean(log_weights(drawn, fit, num_samples), axis=0)))(fit)
        updates, optimizer_state = optimizer.update(slope, optimizer_state)
        return (optax.apply_updates(fit, updates), optimizer_state), None

    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, num_steps), b2=0.99)
    (fit, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), jnp.arange(num_steps))

    def judge(_: None, index: Array) -> tuple[None, tuple[Array, Array]]:
        drawn = jax.random.fold_in(judge_key, index)  # the same noise for both
        return None, (log_weights(drawn, start, 1)[0], log_weights(jax.random.clone(drawn), fit, 1)[0])

    _, (before, after) = jax.lax.scan(judge, None, jnp.arange(num_judged))
    log_likelihood = jax.nn.logsumexp(after, axis=0) - jnp.log(num_judged)
    return Gap(jnp.mean(before, axis=0), jnp.mean(after, axis=0), log_likelihood, pareto_k(after))


def _family(posterior: Any) -> tuple[Params, Callable[[Params], Any]]:
    """Return parameters at which a Gaussian is q(z|x), and the function from them to the Gaussian.

    They count in standard deviations of q(z|x), so that one learning rate suits every example.
    """
    normal = normal_factors(posterior)
    if normal is not None:
        loc, scale = jnp.asarray(normal.loc), jnp.asarray(normal.scale)
        loc, scale = jnp.broadcast_arrays(loc, scale)
        start = {"shift": jnp.zeros_like(loc), "log_scale": jnp.zeros_like(loc)}
        return start, lambda fit: dist.Normal(
            loc + scale * fit["shift"], scale * jnp.exp(fit["log_scale"]), validate_args=False
        ).to_event(1)
    found: Any = moments(posterior)
    mean, factor = found[0], jnp.linalg.cholesky(found[1])

    def full(fit: Params) -> dist.MultivariateNormal:
        inner = jnp.tril(fit["below"], -1) + jnp.exp(fit["log_scale"])[..., None] * jnp.eye(mean.shape[-1])
        loc = mean + jnp.einsum("bij,bj->bi", factor, fit["shift"], precision="highest")
        tril = jnp.matmul(factor, inner, precision="highest")
        return dist.MultivariateNormal(loc, scale_tril=tril, validate_args=False)

    start = {"shift": jnp.zeros_like(mean), "log_scale": jnp.zeros_like(mean), "below": jnp.zeros_like(factor)}
    return start, full


def summary(gap: Gap) -> dict[str, float]:
    """Average a `Gap` over its examples, in nats, with the standard error of the amortisation gap."""
    values = {name: np.asarray(value, np.float64) for name, value in gap._asdict().items()}
    amortization = np.asarray(gap.amortization, np.float64)
    error = amortization.std(ddof=1) / np.sqrt(len(amortization)) if len(amortization) > 1 else 0.0
    return {
        "gap": float(amortization.mean()),
        "gap_error": float(error),
        "approximation_gap": float(np.asarray(gap.approximation, np.float64).mean()),
        **{name: float(value.mean()) for name, value in values.items()},
    }
