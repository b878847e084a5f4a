"""KL divergences in closed form."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxvae import losses
from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Distribution
from jaxvae.distributions.discrete import Coded, GumbelSoftmax, Quantized
from jaxvae.distributions.sphere import HypersphericalUniform, VonMisesFisher
from jaxvae.distributions.structure import unwrap
from jaxvae.losses.kl import categorical_kl, gaussian_kl

CLOSED_FORMS: dict[tuple[type, type], Callable[[Any, Any], Array]] = {}


def register_kl(q_type: type, p_type: type) -> Callable[[Callable], Callable]:
    """Register the decorated `(q, p) -> [L, B]` nats as closed form of KL(q || p) for two types and their subclasses.

    The types are those of single variables, without `to_event`; later registrations take precedence.
    """

    def register(kl: Callable[[Any, Any], Array]) -> Callable[[Any, Any], Array]:
        CLOSED_FORMS[q_type, p_type] = kl
        return kl

    return register


def kl_by_group(posterior: Distribution, prior: Distribution) -> Array:
    """KL(q(z|x) || p(z)) in closed form, `[L, B]` nats: by latent variable where they are independent, else L = 1.

    Raises:
      UserError: no closed form is known for this pair.
    """
    q, p = unwrap(posterior), unwrap(prior)
    for (q_type, p_type), kl in reversed(CLOSED_FORMS.items()):
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


@register_kl(dist.Normal, dist.Normal)
def _normals(q: Any, p: Any) -> Array:
    # NumPyro squares the scale, whose gradient is NaN from a variance of e^-87 on.
    kl = gaussian_kl((q.loc - p.loc) / p.scale, jnp.log(q.scale) - jnp.log(p.scale))
    return jnp.moveaxis(kl, -1, 0)


@register_kl(dist.MultivariateNormal, dist.Normal)
def _full_covariance(q: Any, p: Any) -> Array:
    return losses.kl_full_covariance((q.loc - p.loc) / p.scale, q.scale_tril / p.scale[..., None])[None]


@register_kl(GumbelSoftmax, Coded)
def _categorical(q: GumbelSoftmax, p: Coded) -> Array:
    prior = unwrap(p.codes)
    if not isinstance(prior, dist.CategoricalLogits):
        raise UserError(
            "The posterior 'gumbel_softmax' needs a prior under which its codes are independent, "
            "'uniform_categorical', since the KL to other priors has no closed form, and its estimate no gradient."
        )
    return jnp.moveaxis(categorical_kl(q.logits, jnp.asarray(prior.logits)), -1, 0)


@register_kl(Quantized, Coded)
def _quantized(q: Quantized, p: Coded) -> Array:
    return -p.log_prob(q.mean)[None]  # q has all its mass on one code


@register_kl(VonMisesFisher, HypersphericalUniform)
def _von_mises_fisher(q: VonMisesFisher, p: HypersphericalUniform) -> Array:
    del p
    return losses.kl_vmf_uniform(jnp.broadcast_to(q.concentration, q.batch_shape), q.event_shape[0])[None]
