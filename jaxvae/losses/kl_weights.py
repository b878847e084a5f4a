"""Weights of the KL: warm-up, cycles, free bits, capacity."""

import chex
import jax.numpy as jnp
from jax import Array

from jaxvae.losses.arrays import floats


def warmup(step: int | Array, num_steps: float) -> Array:
    """Rise linearly from 0 to 1 over the first `num_steps` steps; `[]` in [0, 1].

    As beta of `beta_elbo` the KL annealing of Bowman et al. 2015 (arXiv:1511.06349, section 3.1).

    Args:
      step: `[]`, from 0.
      num_steps: steps until 1 is reached; 0: always 1.
    """
    if not num_steps:
        return jnp.asarray(1.0)
    return jnp.clip(step / max(num_steps, 1.0), 0.0, 1.0)


def cyclical_warmup(step: int | Array, total_steps: int, cycles: int = 4, fraction: float = 0.5) -> Array:
    """Rise from 0 to 1 `cycles` times; `[]` in [0, 1] (Fu et al. 2019, arXiv:1903.10145, equation 6).

    Args:
      step: `[]`, from 0; from `total_steps` on the value is 1.
      total_steps: length of all cycles together.
      cycles: their number.
      fraction: part of each cycle in which the value rises; it stays at 1 for the rest.
    """
    # whole numbers until the end: a cycle starts at exactly 0
    position = jnp.where(step >= total_steps, 1.0, step * cycles % max(total_steps, 1) / max(total_steps, 1))
    return jnp.clip(position / max(fraction, 1e-9), 0.0, 1.0)


def free_bits(kl: Array, nats: float | Array) -> Array:
    """KL of L latent variables where each costs at least `nats` (Kingma et al. 2016, arXiv:1606.04934, equation 15).

    The limit holds for each variable's mean over the batch: below it the variable costs the constant `nats` and has no
    gradient. So the value of one example depends on the others.

    Args:
      kl: `[L, B]` nats; L = 1 for a limit on the whole KL.
      nats: `[]`, lambda, the limit for each variable.

    Returns:
      `[B]` nats; its mean over the batch is sum_l max(mean_b kl_lb, nats).

    Raises:
      AssertionError: `kl` is not of rank 2.
      ValueError: integers.
    """
    (kl,) = floats(kl=kl)
    chex.assert_rank(kl, 2)
    mean = jnp.mean(kl, axis=1, keepdims=True)
    return jnp.sum(jnp.where(mean > nats, kl, jnp.full_like(kl, nats)), axis=0)


def capacity(kl: Array, nats: float | Array, gamma: float | Array) -> Array:
    """`gamma` |KL - C| of the batch's mean KL (Burgess et al. 2018, arXiv:1804.03599, equation 8).

    The absolute value is that of the batch's mean, as in the paper's code: single examples may have more and less.

    Args:
      kl: `[B]` nats.
      nats: `[]`, the capacity C; raise it from 0 during training, by `warmup` for example.
      gamma: `[]`, the weight.

    Returns:
      `[B]` nats, positive or negative; the mean over the batch is gamma |mean KL - C|.

    Raises:
      AssertionError: `kl` is not of rank 1.
      ValueError: integers.
    """
    (kl,) = floats(kl=kl)
    chex.assert_rank(kl, 1)
    excess = kl - nats
    return gamma * jnp.sign(jnp.mean(excess)) * excess
