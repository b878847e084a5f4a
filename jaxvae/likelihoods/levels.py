"""Likelihoods of values on equally spaced levels, such as bytes: probability masses, hence bits per dimension."""

import jax.numpy as jnp

from jaxvae.distributions.discretized import CategoricalLevels, DiscretizedLogistic, DiscretizedLogisticMixture
from jaxvae.errors import UserError
from jaxvae.likelihoods.base import Likelihood, softly_between
from jaxvae.types import Array, Distribution, Params, no_params

LOG_SCALES = (-7.0, 7.0)  # of half the pixel range; the lower one is PixelCNN++'s


def categorical(levels: int, pixel_range: tuple[float, float]) -> Likelihood:
    """A logit for each level of each value; level i is low + i * (high - low) / (levels - 1).

    Raises:
      UserError: fewer than 2 levels, or no range.
    """
    _check("categorical", levels, pixel_range)

    def build(_: Params, outputs: Array) -> Distribution:
        return CategoricalLevels(outputs, *pixel_range)

    return _mass(build, levels, pixel_range)


def discretized_logistic(levels: int, pixel_range: tuple[float, float]) -> Likelihood:
    """Outputs `[..., D, 2]`: location and log-scale of a logistic distribution, in halves of the pixel range about its
    middle; its mass in the bin of each level (arXiv:1701.05517, equation 2, with one component).

    Raises:
      UserError: fewer than 2 levels, or no range.
    """
    _check("discretized_logistic", levels, pixel_range)

    def build(_: Params, outputs: Array) -> Distribution:
        return DiscretizedLogistic(*_loc_scale(outputs[..., 0], outputs[..., 1], pixel_range), levels, *pixel_range)

    return _mass(build, 2, pixel_range)


def discretized_logistic_mixture(levels: int, pixel_range: tuple[float, float], components: int = 5) -> Likelihood:
    """Outputs `[..., D, logits | locations | log-scales]` of a mixture for each value (arXiv:1701.05517, equation 2).

    Channels are independent given z, other than in the paper.

    Raises:
      UserError: fewer than 2 levels, no range, or no component.
    """
    _check("discretized_logistic_mixture", levels, pixel_range)
    if components < 1:
        raise UserError(
            f"The discretized_logistic_mixture likelihood got components={components}; it needs at least 1."
        )

    def build(_: Params, outputs: Array) -> Distribution:
        logits, loc, log_scale = jnp.split(outputs, 3, axis=-1)
        return DiscretizedLogisticMixture(logits, *_loc_scale(loc, log_scale, pixel_range), levels, *pixel_range)

    return _mass(build, 3 * components, pixel_range)


def _mass(build, outputs_per_value: int, pixel_range: tuple[float, float]) -> Likelihood:
    return Likelihood(no_params, build, outputs_per_value, support=(pixel_range[0], pixel_range[1]), is_discrete=True)


def _loc_scale(loc: Array, log_scale: Array, pixel_range: tuple[float, float]) -> tuple[Array, Array]:
    low, high = pixel_range
    half = 0.5 * (high - low)
    return low + half * (1 + loc), half * jnp.exp(softly_between(*LOG_SCALES, log_scale))


def _check(name: str, levels: int, pixel_range: tuple[float, float]) -> None:
    if levels < 2:
        raise UserError(f"The {name} likelihood got levels={levels}; data on levels have at least 2 of them.")
    if not pixel_range[0] < pixel_range[1]:
        raise UserError(
            f"The {name} likelihood got pixel_range={list(pixel_range)}; it must be [low, high], low < high."
        )
