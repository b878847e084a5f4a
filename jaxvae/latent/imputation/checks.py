"""Check the model and the mask for imputation."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Params
from jaxvae.distributions.structure import value_log_probs
from jaxvae.models.base import Model, context_args


def check_mask(x: Array, observed: Array | np.ndarray) -> None:
    """Raise UserError for a mask that is not bool or does not broadcast to x."""
    try:
        fits = jnp.broadcast_shapes(observed.shape, x.shape) == x.shape
    except ValueError:
        fits = False
    if not fits or observed.dtype != bool:
        raise UserError(
            f"The mask of observed values has shape {list(observed.shape)} and type {observed.dtype}; it must be of "
            f"type bool and broadcast to the data's shape {list(x.shape)}, True where a value is observed."
        )


def require_values(
    model: Model, params: Params, x: Array, observed: Array | np.ndarray, context: Array | None = None
) -> None:
    """Raise UserError for a wrong shape of x or mask, or a likelihood that is not a product of densities of values."""
    if x.shape[1:] != model.data_shape:
        raise UserError(f"Data of shape {list(x.shape)} do not fit a model of examples {list(model.data_shape)}.")
    check_mask(x, observed)
    if not model.likelihood.is_density:
        raise UserError(
            "Missing values are drawn from p(x|z), but this model's reconstruction loss is not a density. Train with a "
            "likelihood such as 'bernoulli' or 'gaussian'; the tool 'denoise' works with any."
        )
    z = jnp.zeros((1, *model.latent_shape))
    one = context_args(None if context is None else context[:1])
    jax.eval_shape(lambda: value_log_probs(model.decode(params, z, *one), jnp.zeros((1, *model.data_shape))))
