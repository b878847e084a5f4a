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
    """Each of `latent_dim` codes uniform over `num_codes`."""

    def build(params, encode):
        del params, encode
        return dist.CategoricalLogits(jnp.zeros((latent_dim, num_codes))).to_event(1)

    return Prior(build, space=CODES)


def autoregressive_codes(latent_dim: int, num_codes: int, hidden: Sequence[int] = (256,), embed_dim: int = 16) -> Prior:
    """Each code given those before it, by a masked network; learned with the model, as the codes change.

    Codes carry no gradient, so that the network fits them and the codebook does not follow it (arXiv:1711.00937,
    section 3.3, fits it afterwards).
    """
    check_widths(hidden=hidden, embed_dim=(embed_dim,))
    net = Pure(CodeMade(num_codes, tuple(hidden), embed_dim))

    def init(key: jax.Array):
        return net.init(key, jnp.zeros(latent_dim, jnp.int32))

    def build(params, encode):
        del encode
        return AutoregressiveCodes(net, params, latent_dim)

    return Prior(build, init, space=CODES)
