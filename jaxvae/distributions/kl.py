"""KL divergences in closed form."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Distribution
from jaxvae.distributions import Coded, GumbelSoftmax, HypersphericalUniform, Quantized, VonMisesFisher, kl_vmf_uniform


def kl_by_group(posterior: Distribution, prior: Distribution) -> Array:
    """KL(q(z|x) || p(z)) in closed form, `[L, B]` nats: by latent variable where they are independent, else L = 1.

    Raises:
      UserError: no closed form is known for this pair.
    """
    q, p = unwrap(posterior), unwrap(prior)
    for (q_type, p_type), kl in CLOSED_FORMS.items():
        if isinstance(q, q_type) and isinstance(p, p_type):
            return kl(q, p)
    raise UserError(
        f"No closed form is known for the KL of a {type(q).__name__} to a {type(p).__name__}. Estimate it: "
        "--config.objective.kl_estimate=monte_carlo."
    )


def analytic_kl(posterior: Distribution, prior: Distribution) -> Array:
    """KL(q(z|x) || p(z)) in closed form, `[B]` nats summed over latent variables.

    Raises:
      UserError: no closed form is known for this pair.
    """
    return jnp.sum(kl_by_group(posterior, prior), axis=0)


def unwrap(distribution: Any) -> Any:
    """The distribution of the single variables, where `to_event` made them one event."""
    return distribution.base_dist if isinstance(distribution, dist.Independent) else distribution


def _normals(q: Any, p: Any) -> Array:
    # NumPyro squares the scale, whose gradient is NaN from a variance of e^-87 on.
    log_ratio = jnp.log(q.scale) - jnp.log(p.scale)
    kl = 0.5 * (jnp.square((q.loc - p.loc) / p.scale) + jnp.expm1(2 * log_ratio)) - log_ratio
    return jnp.moveaxis(kl, -1, 0)


def _full_covariance(q: Any, p: Any) -> Array:
    ratio = q.scale_tril / p.scale[:, None]
    log_ratio = jnp.log(jnp.diagonal(ratio, axis1=-2, axis2=-1))
    # trace - d - log det, the diagonal by expm1 as above
    spread = jnp.sum(jnp.expm1(2 * log_ratio) - 2 * log_ratio, axis=-1)
    spread = spread + jnp.sum(jnp.square(jnp.tril(ratio, -1)), axis=(-2, -1))
    return 0.5 * (spread + jnp.sum(jnp.square((q.loc - p.loc) / p.scale), axis=-1))[None]


def _categorical(q: GumbelSoftmax, p: Coded) -> Array:
    prior = unwrap(p.codes)
    if not isinstance(prior, dist.CategoricalLogits):
        raise UserError(
            "The posterior 'gumbel_softmax' needs a prior under which its codes are independent, "
            "'uniform_categorical', since the KL to any other has no closed form, and its estimate no gradient."
        )
    log_q, log_p = q.log_probs, jax.nn.log_softmax(prior.logits)
    return jnp.moveaxis(jnp.sum(jnp.exp(log_q) * (log_q - log_p), axis=-1), -1, 0)


CLOSED_FORMS: dict[tuple[type, type], Callable[[Any, Any], Array]] = {
    (dist.Normal, dist.Normal): _normals,
    (dist.MultivariateNormal, dist.Normal): _full_covariance,
    (GumbelSoftmax, Coded): _categorical,
    (Quantized, Coded): lambda q, p: -p.log_prob(q.mean)[None],  # q has all its mass on one code
    (VonMisesFisher, HypersphericalUniform): lambda q, p: kl_vmf_uniform(q)[None],
}
