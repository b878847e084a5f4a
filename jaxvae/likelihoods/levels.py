"""Likelihoods of values on equally spaced levels, such as bytes: probability masses, hence bits per dimension."""

import jax.numpy as jnp

from jaxvae.common.ranges import INTERVAL, check, within
from jaxvae.common.types import Array, Distribution, Params, no_params
from jaxvae.distributions.discretized import CategoricalLevels, DiscretizedLogistic, DiscretizedLogisticMixture
from jaxvae.likelihoods.base import Likelihood, softly_between

LOG_SCALES = (-7.0, 7.0)  # in halves of the pixel range; the lower one is PixelCNN++'s


def categorical(levels: int, pixel_range: tuple[float, float]) -> Likelihood:
    """Categorical with a logit for each level of each value; level i is low + i * (high - low) / (levels - 1).

    Raises:
      UserError: fewer than 2 levels, or no pixel range.
    """
    check("likelihood", "categorical", levels=(levels, within(2)), pixel_range=(pixel_range, INTERVAL))

    def build(_: Params, outputs: Array) -> Distribution:
        return CategoricalLevels(outputs, *pixel_range)

    return _mass(build, levels, pixel_range)._replace(steps_of=("text", "music"))


def discretized_logistic(levels: int, pixel_range: tuple[float, float]) -> Likelihood:
    """Logistic distribution integrated over the bin of each level (arXiv:1701.05517, equation 2, one component).

    The outputs `[..., D, 2]` are location and log-scale, in halves of the pixel range about its middle.

    Raises:
      UserError: fewer than 2 levels, or no pixel range.
    """
    check("likelihood", "discretized_logistic", levels=(levels, within(2)), pixel_range=(pixel_range, INTERVAL))

    def build(_: Params, outputs: Array) -> Distribution:
        return DiscretizedLogistic(*_loc_scale(outputs[..., 0], outputs[..., 1], pixel_range), levels, *pixel_range)

    return _mass(build, 2, pixel_range)


def discretized_logistic_mixture(levels: int, pixel_range: tuple[float, float], components: int = 5) -> Likelihood:
    """Mixture of discretized logistics for each value (arXiv:1701.05517, equation 2).

    The outputs are `[..., D, logits | locations | log-scales]`. Unlike in the paper, channels are independent given z.

    Args:
      levels: the number of levels of a value.
      pixel_range: the least and the greatest level.
      components: of the mixture of each value.

    Raises:
      UserError: fewer than 2 levels, no pixel range, or no component.
    """
    check(
        "likelihood",
        "discretized_logistic_mixture",
        levels=(levels, within(2)),
        pixel_range=(pixel_range, INTERVAL),
        components=(components, within(1)),
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
