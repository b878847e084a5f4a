"""Likelihoods and reconstruction losses of single values: Bernoulli, continuous densities, elementwise losses."""

import math

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxvae.common.errors import unknown
from jaxvae.common.ranges import POSITIVE, check
from jaxvae.common.types import no_params
from jaxvae.distributions.continuous import ContinuousBernoulli, LogCosh, OptimalGaussian
from jaxvae.distributions.pixels import Bernoulli, SquaredError
from jaxvae.likelihoods.base import Likelihood, find_activation, softly_above
from jaxvae.losses.residuals import MIN_VARIANCE

MIN_LOG_VARIANCE = math.log(MIN_VARIANCE)


def bernoulli() -> Likelihood:
    """Independent Bernoulli pixels on logits; data in [0, 1]. On grey pixels its log_prob is the cross-entropy."""
    return Likelihood(
        no_params,
        lambda _, logits: Bernoulli(logits),
        support=(0.0, 1.0),
        is_discrete=True,
        is_binary=True,
        steps_of=("music",),
    )


def continuous_bernoulli() -> Likelihood:
    """Continuous Bernoulli: the normalised density on [0, 1] of the cross-entropy (arXiv:1907.06845)."""
    return Likelihood(no_params, lambda _, logits: ContinuousBernoulli(logits), support=(0.0, 1.0))


def gaussian(activation: str = "identity", variance: float = 1.0, learn: str = "none") -> Likelihood:
    """Gaussian N(activation(outputs), variance I), normalising constant included.

    Args:
      activation: from outputs to means: identity, sigmoid or tanh.
      variance: the variance, or the initial value of a learned one.
      learn: "none": fixed. "shared": one learned variance (sigma-VAE, Rybkin et al. 2021, arXiv:2006.13202).
        "pixel": a second output for each value is its log-variance minus the initial one. "optimal": the optimal
        variance of each example, which depends on x, so not a density (arXiv:2006.13202, optimal sigma).
        Learned variances stay softly above e^-12: on values without noise the density is unbounded.

    Raises:
      UserError: an unknown option, or a variance that is not above 0.
    """
    check("likelihood", "gaussian", variance=(variance, POSITIVE))
    mean, start = find_activation(activation), math.log(variance)

    def scale(log_variance):
        return jnp.exp(0.5 * softly_above(MIN_LOG_VARIANCE, log_variance))

    def per_pixel(_, outputs):
        return dist.Normal(mean(outputs[..., 0]), scale(start + outputs[..., 1]))

    kinds = {
        "none": Likelihood(no_params, lambda _, outputs: dist.Normal(mean(outputs), variance**0.5)),
        "shared": Likelihood(
            lambda _: {"log_variance": jnp.asarray(start)},
            lambda params, outputs: dist.Normal(mean(outputs), scale(params["log_variance"])),
        ),
        "pixel": Likelihood(no_params, per_pixel, outputs_per_value=2),
        "optimal": Likelihood(
            no_params, lambda _, outputs: OptimalGaussian(mean(outputs)), is_density=False, is_product=False
        ),
    }
    return _choose(kinds, learn)


def laplace(activation: str = "identity", scale: float = 1.0, learn: str = "none") -> Likelihood:
    """Laplace(activation(outputs), scale), normalised; with `learn="shared"` one learned scale above e^-6.

    Args:
      activation: from outputs to locations: identity, sigmoid or tanh.
      scale: b, in units of the data, or the initial value of a learned one.
      learn: "none": fixed; "shared": one learned scale for all values.

    Raises:
      UserError: an unknown option, or a scale that is not above 0.
    """
    check("likelihood", "laplace", scale=(scale, POSITIVE))
    mean, start = find_activation(activation), math.log(scale)

    def shared(params, outputs):
        return dist.Laplace(mean(outputs), jnp.exp(softly_above(0.5 * MIN_LOG_VARIANCE, params["log_scale"])))

    kinds = {
        "none": Likelihood(no_params, lambda _, outputs: dist.Laplace(mean(outputs), scale)),
        "shared": Likelihood(lambda _: {"log_scale": jnp.asarray(start)}, shared),
    }
    return _choose(kinds, learn)


def squared_error(activation: str = "identity") -> Likelihood:
    """Summed squared error, a reconstruction loss that is not a density.

    Args:
      activation: from outputs to means: identity, sigmoid or tanh.
    """
    mean = find_activation(activation)
    return Likelihood(no_params, lambda _, outputs: SquaredError(mean(outputs)), is_density=False)


def log_cosh(activation: str = "identity", a: float = 10.0) -> Likelihood:
    """Summed (1 / a) log cosh(a (x - mean)): squared for errors far below 1/a, absolute above; not a density.

    Args:
      activation: from outputs to means: identity, sigmoid or tanh.
      a: above 0, the inverse of the error at which the loss turns from squared to absolute.

    Raises:
      UserError: an unknown activation, or an `a` that is not above 0.
    """
    check("likelihood", "log_cosh", a=(a, POSITIVE))
    mean = find_activation(activation)
    return Likelihood(no_params, lambda _, outputs: LogCosh(mean(outputs), a), is_density=False)


def _choose(kinds: dict[str, Likelihood], learn: str) -> Likelihood:
    if learn not in kinds:
        raise unknown("value of learn", learn, kinds)
    return kinds[learn]
