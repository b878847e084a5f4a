"""A conditional model at one context is an ordinary model."""

import chex
import jax.numpy as jnp

from jaxvae.common.types import Array
from jaxvae.models.base import Model, Training, require_context


def given(model: Model, context: Array) -> Model:
    """The model p(x, z | context) as a model without context: tools, samplers and metrics take it as any other.

    Args:
      model: conditional, with `context_dim` C.
      context: `[C]`, the same for all that is encoded, decoded and drawn.

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
