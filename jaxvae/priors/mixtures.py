"""The standard normal, and mixtures."""

import math

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxvae.common.errors import UserError
from jaxvae.priors.base import ANY, Prior


def standard_normal(latent_dim: int) -> Prior:
    """Standard normal N(0, I)."""
    return Prior(lambda params, encode: dist.Normal(jnp.zeros(latent_dim), jnp.ones(latent_dim)).to_event(1))


def mixture_of_gaussians(latent_dim: int, components: int = 10, spread: float = 1.0) -> Prior:
    """Learned mixture of diagonal Gaussians, with initial means from N(0, spread^2).

    Raises:
      UserError: fewer than 1 component, or a spread that is not above 0.
    """
    _check_components("mixture_of_gaussians", components)
    if not spread > 0:  # equal components would stay equal
        raise UserError(f"The prior 'mixture_of_gaussians' got spread={spread}; it must be above 0.")

    def init(key):
        mean = spread * jax.random.normal(key, (components, latent_dim))
        return {"mean": mean, "logvar": jnp.zeros_like(mean), "logits": jnp.zeros(components)}

    def build(params, encode):
        del encode
        parts = dist.Normal(params["mean"], jnp.exp(0.5 * params["logvar"])).to_event(1)
        return dist.MixtureSameFamily(dist.Categorical(logits=params["logits"]), parts)

    return Prior(build, init)


def vamp(data_shape: tuple[int, ...], pixel_range: tuple[float, float], components: int = 500) -> Prior:
    """VampPrior: mixture of the posteriors of learned pseudo-inputs (arXiv:1705.07120, equation 9).

    A sigmoid keeps pseudo-inputs within the data's range; they are initialised as grey noise.

    Raises:
      UserError: fewer than 1 component.
    """
    _check_components("vamp", components)
    low, high = pixel_range or (-math.inf, math.inf)

    def init(key):
        return {"pseudo_inputs": jax.random.normal(key, (components, *data_shape))}

    def build(params, encode):
        inputs = params["pseudo_inputs"]
        inputs = low + (high - low) * jax.nn.sigmoid(inputs) if math.isfinite(high) else jax.nn.softplus(inputs)
        return dist.MixtureSameFamily(dist.Categorical(logits=jnp.zeros(components)), encode(inputs))

    return Prior(build, init, space=ANY, learns_inputs=True)


def _check_components(name: str, components: int) -> None:
    if components < 1:
        raise UserError(f"The prior '{name}' got components={components}; it needs at least 1.")
