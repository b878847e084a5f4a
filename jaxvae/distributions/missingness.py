"""Which values are missing, given x: a self-masking model, each value by a logistic function of itself."""

import math

import jax
import jax.numpy as jnp

from jaxvae.common.types import Array, Params

MISSINGNESS = "missingness"  # the group of its parameters


def init_self_masking(data_shape: tuple[int, ...]) -> Params:
    """Return initial parameters: every value is observed with the probability 1/2, whatever it is."""
    size = math.prod(data_shape)
    return {"weight": jnp.zeros(size), "bias": jnp.zeros(size)}


def self_masking_log_prob(params: Params, x: Array, mask: Array, event_ndim: int) -> Array:
    """Compute log p(mask|x) `[...]` nats of x `[..., *event]`: a value x_d is observed with the probability
    sigmoid(weight_d x_d + bias_d) (Ipsen et al. 2021, arXiv:2006.12871).
    """
    flat = x.reshape(*x.shape[: x.ndim - event_ndim], -1)
    logits = params["weight"] * flat + params["bias"]
    signs = jnp.where(mask.reshape(*mask.shape[: mask.ndim - event_ndim], -1), 1.0, -1.0)
    return jnp.sum(jax.nn.log_sigmoid(signs * logits), axis=-1)
