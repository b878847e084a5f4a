"""Posteriors without a known density."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from jaxvae.common.ranges import check, within
from jaxvae.distributions import Implicit
from jaxvae.networks import MLP, Pure, check_widths
from jaxvae.networks.mlp import ACTIVATIONS
from jaxvae.posteriors.base import Posterior


def implicit(latent_dim: int, noise_dim: int = 16, num_features: int = 64, hidden: Sequence[int] = (128,)) -> Posterior:
    """Sampler z = f(h, noise) of outputs h of the encoder and noise ~ N(0, I): any density, but an unknown one.

    Without a density there is no KL and no bound: for the objectives 'avb' (Mescheder et al. 2017, arXiv:1701.04722)
    and those that use samples of z alone. The centre of q(z|x) is f(h, 0).

    Args:
      latent_dim: the length of z.
      noise_dim: the length of the noise.
      num_features: the length of h.
      hidden: widths of the network f, with elu.

    Raises:
      UserError: a size below 1.
    """
    check("posterior", "implicit", noise_dim=(noise_dim, within(1)), num_features=(num_features, within(1)))
    check_widths(hidden=hidden)
    # Weights of Glorot's variance, so that the noise moves a new model's z by about its own size.
    net = Pure(MLP((num_features + noise_dim,), tuple(hidden), (latent_dim,), ACTIVATIONS["elu"], 1.0, 1.0))

    def transform(params: Any, outputs: Any, noise: Any) -> Any:
        return net(params, jnp.concatenate([outputs, noise], axis=-1))

    def build(params, outputs, log_joint):
        del log_joint
        return Implicit(transform, params, outputs, noise_dim, latent_dim)

    def init(key):
        return net.init(key, jnp.zeros(num_features + noise_dim))

    return Posterior((latent_dim,), num_features, build, init, is_density=False, is_implicit=True)
