"""Turn a conditional model at one context into an ordinary model."""

from typing import Any

import chex
import jax.numpy as jnp

from jaxvae.common.types import Array, Params
from jaxvae.models.base import Model, Training, require_context


def given_any(model: Model, context: Array | None) -> Model:
    """Return `given(model, context)`, or a model without context as it is."""
    return model if context is None else given(model, context)


def prior_depends(model: Model, params: Params) -> bool:
    """Return whether a conditional model's prior is p(z|context); False for a model without context."""
    if not model.context_dim:
        return False
    prior: Any = model.prior(params, jnp.zeros((1, model.context_dim)))
    return bool(prior.batch_shape)


def given(model: Model, context: Array) -> Model:
    """Fix the context of a conditional model: p(x, z | context) as a model without context, for tools and metrics.

    Args:
      model: a conditional model, with `context_dim` C.
      context: `[C]`, used for every example and draw.

    Raises:
      UserError: a model without context, or a context of another length.
    """
    context = jnp.asarray(context)
    require_context(model.context_dim, context)
    chex.assert_rank(context, 1)

    def beside(array: Array, event_ndim: int) -> Array:
        return jnp.broadcast_to(context, (*array.shape[: array.ndim - event_ndim], model.context_dim))

    def encode(params, x, context=None, **options):
        require_context(0, context)
        return model.encode(params, x, beside(x, len(model.data_shape)), **options)

    def decode(params, z, context=None, **options):
        require_context(0, context)
        return model.decode(params, z, beside(z, len(model.latent_shape)), **options)

    def in_training(training: Training) -> Training:
        return Training(
            lambda params, key, x, **options: training.encode(
                params, key, x, beside(x, len(model.data_shape)), **options
            ),
            lambda params, key, z: training.decode(params, key, z, beside(z, len(model.latent_shape))),
        )

    def sweep(params, key, batch, **options):
        return model.forward(params, key, {**batch, "context": beside(batch["x"], len(model.data_shape))}, **options)

    return model._replace(
        encode=encode,
        decode=decode,
        prior=lambda params: model.prior(params, context),
        sweep=None if model.sweep is None else sweep,
        training=None if model.training is None else in_training(model.training),
        context_dim=0,
    )
