"""Multi-scale structural similarity as a reconstruction loss."""

import math

import jax.numpy as jnp

from jaxvae.distributions.continuous import Reconstruction
from jaxvae.losses import ms_ssim


class MsSsim(Reconstruction):
    """-weight * (1 - MS-SSIM(x, loc)) (Snell et al. 2017, arXiv:1511.06409). Not a density.

    Args:
      loc: `[..., D]`, the flat image; batch shape `[...]`, event shape `[D]`.
      shape: `(H, W, C)`, whose product is D.
      low: value of black.
      high: value of white.
      weight: of the loss, relative to the other terms in nats.
    """

    pytree_aux_fields = ("shape_", "low", "high", "weight")

    def __init__(self, loc, shape, low, high, weight=1.0, *, validate_args=None):
        self.shape_, self.low, self.high, self.weight = tuple(shape), low, high, weight
        if jnp.shape(loc)[-1] != math.prod(shape):
            raise ValueError(f"{jnp.shape(loc)[-1]} values are not an image of shape {tuple(shape)}")
        super().__init__(loc, event_dim=1, validate_args=validate_args)

    def log_prob(self, value):
        x, y = (jnp.reshape(v - self.low, (*jnp.shape(v)[:-1], *self.shape_)) for v in (value, self.loc))
        return -self.weight * (1 - ms_ssim(x, y, self.high - self.low))
