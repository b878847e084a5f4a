"""Bounds on log p(x) of models with a discrete latent: a class, summed over exactly."""

import chex
import jax
import jax.numpy as jnp
from jax import Array

from jaxvae.losses.arrays import floats


def marginal_elbo(elbos: Array, logits: Array) -> Array:
    """Bound on log p(x) of a model with a class y: sum_y q(y|x) (ELBO(x, y) - log q(y|x)), in nats.

    Kingma et al. 2014, arXiv:1406.5298, equation 7. It is largest for q(y|x) proportional to exp ELBO(x, y), where it
    is log sum_y exp ELBO(x, y).

    Args:
      elbos: `[C, B]`, bounds on log p(x, y), the prior log p(y) included, for each of C classes.
      logits: `[B, C]` of q(y|x).

    Returns:
      `[B]`; maximise it, or minimise its negative.

    Raises:
      AssertionError: the shapes do not belong together.
      ValueError: integers.
    """
    elbos, logits = floats(elbos=elbos, logits=logits)
    chex.assert_rank([elbos, logits], 2)
    chex.assert_equal_shape([elbos.T, logits])
    log_q = jax.nn.log_softmax(logits)
    q = jnp.exp(log_q)
    # A class of probability 0 adds 0 to the entropy, and no gradient.
    return jnp.sum(q * elbos.T, axis=1) - jnp.sum(jnp.where(q > 0, q * log_q, 0.0), axis=1)
