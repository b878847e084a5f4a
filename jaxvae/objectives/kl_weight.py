"""Weights of the KL in an objective: constant, warm-up, cyclic, free bits, capacity."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from jaxvae import losses
from jaxvae.common.ranges import NOT_NEGATIVE, UNIT, check, within
from jaxvae.common.types import Array


class KLWeight(NamedTuple):
    """Weighted KL term of a loss.

    Attributes:
      weight: `(step) -> []`, the factor of the KL.
      term: `(kl [L, B], step) -> [B]`, the term added to the reconstruction; L groups of latent variables.
      is_linear: whether `term` is `weight` times the KL, so that importance weights can include the factor.
      whole_batch: why `term` is not a mean over examples; empty if it is.
    """

    weight: Callable[[Array], Array]
    term: Callable[[Array, Array], Array]
    is_linear: bool = True
    whole_batch: str = ""


def _linear(weight: Callable[[Array], Array]) -> KLWeight:
    return KLWeight(weight, lambda kl, step: weight(step) * jnp.sum(kl, axis=0))


def constant(beta: float = 1.0) -> KLWeight:
    """Weight the KL by `beta`: 1 for the ELBO, other values for β-VAE (Higgins et al. 2017, equation 4).

    Args:
      beta: the weight.
    """
    check("KL weight", "constant", beta=(beta, NOT_NEGATIVE))
    return _linear(lambda step: jnp.asarray(beta))


def linear(total_steps: int, beta: float = 1.0, start: float = 0.0, fraction: float = 0.3) -> KLWeight:
    """Raise the weight from `start` to `beta` over the first `fraction` of the run (arXiv:1511.06349, section 3).

    Args:
      total_steps: training steps of the run.
      beta: the last weight.
      start: the first weight.
      fraction: share of the run in which it rises, from 0 to 1.
    """
    check("KL weight", "linear", beta=(beta, NOT_NEGATIVE), start=(start, NOT_NEGATIVE), fraction=(fraction, UNIT))
    return _linear(lambda step: start + (beta - start) * losses.warmup(step, fraction * total_steps))


def cyclic(total_steps: int, beta: float = 1.0, cycles: int = 4, fraction: float = 0.5) -> KLWeight:
    """Raise the weight from 0 to `beta` in `cycles`, each in its first `fraction` (arXiv:1903.10145, equation 6).

    Args:
      total_steps: training steps of the run.
      beta: the greatest weight.
      cycles: their number, M.
      fraction: share of each cycle in which the weight rises, from 0 to 1; R in the paper.
    """
    check("KL weight", "cyclic", beta=(beta, NOT_NEGATIVE), cycles=(cycles, within(1)), fraction=(fraction, UNIT))

    return _linear(lambda step: beta * losses.cyclical_warmup(step, total_steps, cycles, fraction))


def free_bits(total_steps: int, nats: float = 0.1, beta: float = 1.0, fraction: float = 0.0) -> KLWeight:
    """Free bits: count the batch mean of each latent variable's KL as at least `nats` (arXiv:1606.04934, equation 15).

    Where the KL does not split by variable (a Monte-Carlo estimate, a full covariance), `nats` applies to all of it.
    The weight is warmed up to `beta` over the first `fraction` of the run.

    Args:
      total_steps: training steps of the run.
      nats: lambda, the least cost of each latent variable.
      beta: weight of the whole.
      fraction: share of the run in which the weight rises from 0 to `beta`; 0: no warm-up.
    """
    check("KL weight", "free_bits", nats=(nats, NOT_NEGATIVE), beta=(beta, NOT_NEGATIVE), fraction=(fraction, UNIT))

    def weight(step):
        return beta * losses.warmup(step, fraction * total_steps)

    def term(kl, step):
        return weight(step) * losses.free_bits(kl, nats)

    return KLWeight(weight, term, is_linear=False, whole_batch="free bits are those of the batch's mean KL")


def capacity(total_steps: int, nats: float = 25.0, gamma: float = 30.0, fraction: float = 0.7) -> KLWeight:
    """Capacity: `gamma` |KL - C|, C rising from 0 to `nats` over `fraction` of the run (arXiv:1804.03599, equation 8).

    The paper uses gamma = 1,000 on dSprites. The default of 30 suits losses of some tens of nats: with a larger gamma
    the KL follows C more closely, and the reconstruction has less weight.

    Args:
      total_steps: training steps of the run.
      nats: the last C.
      gamma: weight of the distance from C.
      fraction: share of the run in which C rises, from 0 to 1.
    """
    check("KL weight", "capacity", nats=(nats, NOT_NEGATIVE), gamma=(gamma, NOT_NEGATIVE), fraction=(fraction, UNIT))

    def term(kl, step):
        limit = nats * losses.warmup(step, fraction * total_steps)
        return losses.capacity(jnp.sum(kl, axis=0), limit, gamma)

    return KLWeight(lambda step: jnp.asarray(gamma), term, False, "the capacity is one of the batch's mean KL")


KL_WEIGHTS = {
    "constant": constant, "linear": linear, "cyclic": cyclic, "free_bits": free_bits, "capacity": capacity,
}  # fmt: skip


UNWEIGHTED = constant()
