"""Outlier scores of a model."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params
from jaxvae.distributions.kl import analytic_kl
from jaxvae.distributions.structure import observed_log_prob
from jaxvae.metrics.likelihood import importance_nll
from jaxvae.models.base import Model, context_args, draw, encode_batch, require_context


def outlier_scores(
    model: Model,
    params: Params,
    key: Key,
    x: Array,
    num_samples: int,
    context: Array | None = None,
    mask: Array | None = None,
) -> dict[str, Array]:
    """Score how unusual each x `[B, *data_shape]` is under the model: `[B]` per score, higher is more unusual.

    "nll": -log p(x) in nats by `importance_nll`. "reconstruction": -log p(x|z) in nats (or the reconstruction loss),
    averaged over z ~ q(z|x). "kl": KL(q(z|x) || p(z)) in nats, in closed form, else estimated from the same z. "nll" is
    missing where posterior or likelihood is not a density, "kl" where the posterior is not.

    With a `context` `[B, C]` each example is scored at its own; with a bool `mask` of the shape of x, by its observed
    values (True) alone.

    Raises:
      UserError: fewer than 1 sample, x of another shape, or a conditional model without a context.
    """
    if num_samples < 1:
        raise UserError(f"num_samples is {num_samples}; outlier scores need at least 1.")
    if x.shape[1:] != model.data_shape:
        raise UserError(f"Data of shape {list(x.shape)} do not fit a model of examples {list(model.data_shape)}.")
    require_context(model.context_dim, context)
    batch: Any = {
        name: array for name, array in {"x": x, "context": context, "mask": mask}.items() if array is not None
    }
    return _outlier_scores(model, params, key, batch, num_samples)


@partial(jax.jit, static_argnames=("model", "num_samples"))
def _outlier_scores(model, params, key, batch: Any, num_samples: int) -> dict[str, Array]:
    nll_key, draw_key = jax.random.split(key)
    x, context = batch["x"], context_args(batch.get("context"))
    posterior, prior = encode_batch(model, params, batch), model.prior(params, *context)

    def terms(total: Any, i: Array) -> tuple[Any, None]:
        z, log_posterior = draw(jax.random.fold_in(draw_key, i), posterior, 1, exact=True)
        reconstruction = -observed_log_prob(model.decode(params, z, *context), x, batch.get("mask"))[0]
        gap = (log_posterior - prior.log_prob(z))[0] if model.latent.is_density else jnp.zeros(len(x))
        return (total[0] + reconstruction, total[1] + gap), None

    zeros = jnp.zeros(len(x)), jnp.zeros(len(x))
    (reconstruction, gap), _ = jax.lax.scan(terms, zeros, jnp.arange(num_samples))
    scores = {"reconstruction": reconstruction / num_samples}
    if model.latent.is_density:
        try:
            scores["kl"] = analytic_kl(posterior, prior)
        except UserError:
            scores["kl"] = gap / num_samples
    if model.has_likelihood:
        scores["nll"] = importance_nll(model, params, nll_key, num_samples=num_samples, **batch)
    return scores
