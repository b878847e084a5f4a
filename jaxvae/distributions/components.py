"""Components c of a mixture p(z) = sum_c p(c) p(z|c): posterior probabilities, KLs, draws."""

from typing import Any

import jax

from jaxvae.common.types import Array, Key
from jaxvae.distributions.kl import analytic_kl


def num_components(prior: Any) -> int:
    """Return the number of components C of a mixture, 0 for another distribution."""
    return getattr(prior, "mixture_size", 0)


def component_log_probs(prior: Any, z: Array) -> Array:
    """Compute log p(c) + log p(z|c) of each component, `[..., C]` nats; its softmax over c is p(c|z)."""
    return prior.component_log_probs(z)


def component_logits(prior: Any) -> Array:
    """Return the logits of p(c), `[C]`, or `[..., C]` where they depend on a context."""
    return prior.mixing_distribution.logits


def component_kls(posterior: Any, prior: Any, z: Array) -> Array:
    """KL(q(z|x) || p(z|c)) to each component in closed form, `[B, C]` nats.

    Args:
      posterior: q(z|x) of batch shape `[B]`.
      prior: a mixture, of batch shape `[]` or `[B]`.
      z: draws of q(z|x), `[K, B, *latent_shape]`; a mixture whose components depend on a part of z, which is not
        integrated in closed form, takes it from them, and has KLs `[K, B, C]`.

    Raises:
      UserError: no closed form is known for this pair.
    """
    if hasattr(prior, "component_kls"):
        return prior.component_kls(posterior, z)
    axis = len(prior.batch_shape)
    return jax.vmap(lambda part: analytic_kl(posterior, part), in_axes=axis, out_axes=-1)(prior.component_distribution)


def component_draws(prior: Any, key: Key, num: int) -> Array:
    """Draw `num` z from each component, `[num, ..., C, *latent_shape]`."""
    return prior.component_sample(key, (num,))
