"""Priors over codes."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxvae.distributions import AutoregressiveCodes
from jaxvae.distributions.spaces import CODES
from jaxvae.networks import CodeMade, Pure, check_widths
from jaxvae.priors.base import Prior


def uniform_categorical(latent_dim: int, num_codes: int) -> Prior:
    """Independent uniform codes: each of `latent_dim` over `num_codes`."""

    def build(params, encode):
        del params, encode
        return dist.CategoricalLogits(jnp.zeros((latent_dim, num_codes))).to_event(1)

    return Prior(build, space=CODES)


def autoregressive_codes(latent_dim: int, num_codes: int, hidden: Sequence[int] = (256,), embed_dim: int = 16) -> Prior:
    """Autoregressive prior: each code given the previous ones, by a masked network trained jointly with the model.

    Codes have no gradient: the network fits the codes, and does not move the codebook (arXiv:1711.00937, section 3.3,
    fits it after training).

    Args:
      latent_dim: the number of codes of z.
      num_codes: the size of the codebook.
      hidden: widths of the masked network.
      embed_dim: the length of the vector that the network sees of each code.
    """
    check_widths(hidden=hidden, embed_dim=(embed_dim,))
    net = Pure(CodeMade(num_codes, tuple(hidden), embed_dim))

    def init(key: jax.Array):
        return net.init(key, jnp.zeros(latent_dim, jnp.int32))

    def build(params, encode):
        del encode
        return AutoregressiveCodes(net, params, latent_dim)

    return Prior(build, init, space=CODES)
