"""KL to a mixture with its component as a latent of its own, in closed form for Gaussians."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import Array

from jaxvae.losses.arrays import floats
from jaxvae.losses.kl import categorical_kl, gaussian_kl


class MixtureKL(NamedTuple):
    """The two terms of KL(q(z|x) q(c|x) || p(z|c) p(c)), `[B]` nats each.

    Attributes:
      components: sum_c q(c|x) KL(q(z|x) || p(z|c)).
      classes: KL(q(c|x) || p(c)).
    """

    components: Array
    classes: Array


def kl_gaussian_components(mean: Array, logvar: Array, means: Array, logvars: Array) -> Array:
    """KL(N(mean, exp(logvar)) || N(means_c, exp(logvars_c))) to each component, `[B, C]` nats.

    Args:
      mean: `[B, D]`.
      logvar: `[B, D]`.
      means: `[C, D]`, or `[B, C, D]` for components of each example.
      logvars: as `means`.

    Raises:
      AssertionError: the shapes do not fit.
      ValueError: integers.
    """
    mean, logvar, means, logvars = floats(mean=mean, logvar=logvar, means=means, logvars=logvars)
    chex.assert_rank([mean, means], [2, {2, 3}])
    chex.assert_equal_shape([mean, logvar])
    chex.assert_equal_shape([means, logvars])
    chex.assert_axis_dimension(means, -1, mean.shape[-1])
    shift = (mean[:, None] - means) * jnp.exp(-0.5 * logvars)
    return jnp.sum(gaussian_kl(shift, 0.5 * (logvar[:, None] - logvars)), axis=-1)


def mixture_kl(kls: Array, posterior_logits: Array, prior_logits: Array) -> MixtureKL:
    """KL of q(z|x) q(c|x) to a mixture p(z|c) p(c), from the KLs to its components.

    The sum of both terms is at least KL(q(z|x) || p(z)), and its negative is the part without the reconstruction of
    the ELBO of VaDE (Jiang et al. 2017, arXiv:1611.05148, equations 12 and 13).

    Args:
      kls: `[B, C]`, KL(q(z|x) || p(z|c)).
      posterior_logits: `[B, C]` of q(c|x).
      prior_logits: `[C]` of p(c), or `[B, C]` for those of each example.

    Returns:
      Both terms `[B]`; minimise their sum.

    Raises:
      AssertionError: the shapes do not fit.
      ValueError: integers.
    """
    kls, posterior_logits, prior_logits = floats(kls=kls, posterior_logits=posterior_logits, prior_logits=prior_logits)
    chex.assert_rank([kls, prior_logits], [2, {1, 2}])
    chex.assert_equal_shape([kls, posterior_logits])
    chex.assert_axis_dimension(prior_logits, -1, kls.shape[-1])
    return MixtureKL(
        jnp.sum(jax.nn.softmax(posterior_logits) * kls, axis=-1), categorical_kl(posterior_logits, prior_logits)
    )
