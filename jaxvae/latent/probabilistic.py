"""Turn a decoder and a prior into a NumPyro model, as a prior of x in models of one's own."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpyro

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Distribution, Params
from jaxvae.distributions.structure import observed_log_prob
from jaxvae.models.base import Model, require_context


def numpyro_model(
    model: Model, params: Params, observe: Callable[[Array], Distribution] | None = None
) -> Callable[..., Array]:
    """Return p(z) p(obs|z) of one example as a NumPyro model, for NUTS over z or as a part of a larger model.

    The sites are "z" `[*latent_shape]`, "x" (the mean of p(x|z), deterministic; not of sequences) and "obs".

    Args:
      model: with latents in R^n; of a conditional model take it at one context, `given(model, context)`.
      params: its parameters, which stay fixed.
      observe: the distribution of an observation given the mean of p(x|z), in the model's units:
        `lambda x: dist.Normal(blur(x), 0.1).to_event(x.ndim)`. By default the observation is x itself, by p(x|z).

    Returns:
      `(obs=None, mask=None) -> obs`. Without `obs` the model draws one. The `mask` of the shape of `obs` is True where
      a value is observed; it needs a distribution that is a product over values.

    Raises:
      UserError: latents outside R^n, a conditional model, a reconstruction loss that is not a density where `observe`
        is not given, or `observe` with sequences, which have no mean.
    """
    require_context(model.context_dim, None)
    if not model.latent.space.is_linear:
        raise UserError(
            f"NUTS moves z along gradients in R^n, but these latents live in {model.latent.space}: take a model with a "
            "posterior such as 'diagonal_gaussian'."
        )
    if observe is None and not model.likelihood.is_density:
        raise UserError(
            "The reconstruction loss of this model is not a density, so that nothing can be observed by it: give "
            "observe=lambda x: dist.Normal(x, 0.1).to_event(x.ndim), for example, or train with a likelihood."
        )
    if observe is not None and model.data.is_sequential:
        raise UserError("A decoder of sequences has no mean for `observe`: leave it out, and condition on x itself.")

    def probabilistic(obs: Array | None = None, mask: Array | None = None) -> Array:
        z: Any = numpyro.sample("z", model.prior(params))
        likelihood: Any = model.decode(params, z)
        x: Any = None if model.data.is_sequential else numpyro.deterministic("x", likelihood.mean)
        seen: Any = likelihood if observe is None else observe(x)
        if obs is None or mask is None:
            drawn: Any = numpyro.sample("obs", seen, obs=obs)
            return drawn
        obs, mask = jnp.asarray(obs), jnp.asarray(mask)
        if mask.shape != obs.shape:
            raise UserError(f"The mask has the shape {list(mask.shape)}, and the observation {list(obs.shape)}.")
        numpyro.factor("obs", observed_log_prob(seen, jnp.where(mask, obs, 0.0), mask))
        return obs

    return probabilistic
