"""How an objective weighs its KL: constant, warmed up, cyclic, with free bits, towards a capacity."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from jaxvae import losses
from jaxvae.common.ranges import NOT_NEGATIVE, UNIT, check, within
from jaxvae.common.types import Array


class KLWeight(NamedTuple):
    """The term of a loss that replaces the KL.

    Attributes:
      weight: `(step) -> []`, the factor before the KL.
      term: `(kl [L, B], step) -> [B]`, what is added to the reconstruction; L groups of latent variables.
      is_linear: whether `term` is `weight` times the KL, so that the factor can go into an importance weight too.
      whole_batch: why `term` is not a mean over examples; empty where it is one.
    """

    weight: Callable[[Array], Array]
    term: Callable[[Array, Array], Array]
    is_linear: bool = True
    whole_batch: str = ""


def _linear(weight: Callable[[Array], Array]) -> KLWeight:
    return KLWeight(weight, lambda kl, step: weight(step) * jnp.sum(kl, axis=0))


def constant(beta: float = 1.0) -> KLWeight:
    """`beta` times the KL: 1 for the ELBO, others for β-VAE (Higgins et al. 2017, equation 4)."""
    check("KL weight", "constant", beta=(beta, NOT_NEGATIVE))
    return _linear(lambda step: jnp.asarray(beta))


def linear(total_steps: int, beta: float = 1.0, start: float = 0.0, fraction: float = 0.3) -> KLWeight:
    """A weight that rises from `start` to `beta` over the first `fraction` of the run (arXiv:1511.06349, section 3)."""
    check("KL weight", "linear", beta=(beta, NOT_NEGATIVE), start=(start, NOT_NEGATIVE), fraction=(fraction, UNIT))
    return _linear(lambda step: start + (beta - start) * losses.warmup(step, fraction * total_steps))


def cyclic(total_steps: int, beta: float = 1.0, cycles: int = 4, fraction: float = 0.5) -> KLWeight:
    """`cycles` rises from 0 to `beta`, each over the first `fraction` of its cycle (arXiv:1903.10145, equation 6)."""
    check("KL weight", "cyclic", beta=(beta, NOT_NEGATIVE), cycles=(cycles, within(1)), fraction=(fraction, UNIT))

    return _linear(lambda step: beta * losses.cyclical_warmup(step, total_steps, cycles, fraction))


def free_bits(total_steps: int, nats: float = 0.1, beta: float = 1.0, fraction: float = 0.0) -> KLWeight:
    """The KL of each latent variable, averaged over the batch, costs `nats` at least (arXiv:1606.04934, equation 15).

    Where the KL has no parts by variable (a Monte-Carlo estimate, a full covariance) `nats` is for the whole of it.
    The weight is warmed up to `beta` over the first `fraction` of the run.
    """
    check("KL weight", "free_bits", nats=(nats, NOT_NEGATIVE), beta=(beta, NOT_NEGATIVE), fraction=(fraction, UNIT))

    def weight(step):
        return beta * losses.warmup(step, fraction * total_steps)

    def term(kl, step):
        return weight(step) * losses.free_bits(kl, nats)

    return KLWeight(weight, term, is_linear=False, whole_batch="free bits are those of the batch's mean KL")


def capacity(total_steps: int, nats: float = 25.0, gamma: float = 30.0, fraction: float = 0.7) -> KLWeight:
    """`gamma` |KL - C|, C rising from 0 to `nats` over `fraction` of the run (arXiv:1804.03599, equation 8).

    The paper takes gamma = 1,000 on dSprites. The default of 30 suits losses of some tens of nats: with a larger one
    the KL follows C more closely, and the reconstruction counts for less of each step.
    """
    check("KL weight", "capacity", nats=(nats, NOT_NEGATIVE), gamma=(gamma, NOT_NEGATIVE), fraction=(fraction, UNIT))

    def term(kl, step):
        limit = nats * losses.warmup(step, fraction * total_steps)
        return losses.capacity(jnp.sum(kl, axis=0), limit, gamma)

    return KLWeight(lambda step: jnp.asarray(gamma), term, False, "the capacity is one of the batch's mean KL")


KL_WEIGHTS = {
    "constant": constant, "linear": linear, "cyclic": cyclic, "free_bits": free_bits, "capacity": capacity,
}  # fmt: skip
