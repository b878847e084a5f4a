"""Continuous Bernoulli, and reconstruction losses instead of log-densities."""

from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints

from jaxvae.losses import continuous_bernoulli_log_prob
from jaxvae.losses.bernoulli import log_normalizer
from jaxvae.losses.residuals import optimal_gaussian_log_prob, scaled_log_cosh


class ContinuousBernoulli(dist.Distribution):
    """The density proportional to exp(logits * x) on [0, 1] (Loaiza-Ganem & Cunningham 2019, arXiv:1907.06845).

    log p(x) = logits * x - A(logits) with A(l) = log((e^l - 1) / l), whose derivatives are mean and variance.
    """

    arg_constraints = {"logits": constraints.real}  # noqa: RUF012 (NumPyro's way)
    support = constraints.unit_interval  # pyright: ignore[reportAssignmentType]
    reparametrized_params = ["logits"]  # noqa: RUF012
    pytree_data_fields = ("logits",)

    def __init__(self, logits, *, validate_args=None):
        self.logits = logits
        super().__init__(batch_shape=jnp.shape(logits), validate_args=validate_args)

    def log_prob(self, value):
        return continuous_bernoulli_log_prob(self.logits, value)

    @property
    def mean(self):
        return _derivative(log_normalizer, self.logits)

    @property
    def variance(self):
        return _derivative(lambda logits: _derivative(log_normalizer, logits), self.logits)

    def sample(self, key: Any, sample_shape=()):
        """Apply the inverse CDF to uniform noise: differentiable in the logits."""
        eps = jnp.finfo(self.logits.dtype).eps
        u = jax.random.uniform(key, (*sample_shape, *self.batch_shape), self.logits.dtype, minval=eps)
        return inverse_cdf(self.logits, u)


def _derivative(function, x):
    return jax.jvp(function, (x,), (jnp.ones_like(x),))[1]


def inverse_cdf(logits, u):
    """Inverse CDF, x with P(X <= x) = u in (0, 1): log(1 + u (e^l - 1)) / l, or its Taylor series around l = 0."""
    small = jnp.abs(logits) < 0.05
    size = jnp.where(small, 1.0, jnp.abs(logits))
    # Distances are from the edge with more mass, from which the exponential decays: nothing overflows.
    from_edge = -jnp.log1p(jnp.where(logits > 0, 1 - u, u) * jnp.expm1(-size)) / size
    closed = jnp.where(logits > 0, 1 - from_edge, from_edge)
    near, spread = jnp.where(small, logits, 0.0), u * (1 - u)  # the cumulants of a Bernoulli variable of mean u
    series = u + near * spread * (1 / 2 + near * ((1 - 2 * u) / 6 + near * (1 - 6 * spread) / 24))
    return jnp.where(small, series, closed)


class Reconstruction(dist.Distribution):
    """A loss instead of -log p(x), with all mass on `loc`. Not a density: `Likelihood.is_density` is False."""

    pytree_data_fields = ("loc",)

    def __init__(self, loc, *, event_dim=0, validate_args=None):
        self.loc = loc
        split = jnp.ndim(loc) - event_dim
        super().__init__(jnp.shape(loc)[:split], jnp.shape(loc)[split:], validate_args=validate_args)

    @property
    def support(self):
        return constraints.independent(constraints.real, self.event_dim) if self.event_dim else constraints.real

    @property
    def mean(self):
        return self.loc

    @property
    def variance(self):
        return jnp.zeros_like(self.loc)

    def sample(self, key: Any, sample_shape=()):
        del key
        return jnp.broadcast_to(self.loc, (*sample_shape, *jnp.shape(self.loc)))


class LogCosh(Reconstruction):
    """-(1 / a) log cosh(a (x - loc)): -a (x - loc)^2 / 2 near loc, -|x - loc| far from it. Not a density."""

    pytree_aux_fields = ("a",)

    def __init__(self, loc, a, *, validate_args=None):
        self.a = a
        super().__init__(loc, validate_args=validate_args)

    def log_prob(self, value):
        return -scaled_log_cosh(value - self.loc, self.a)


class OptimalGaussian(Reconstruction):
    """Gaussian log-likelihood of D values under their optimal variance: -D/2 (log(2 pi MSE) + 1).

    The optimal sigma of Rybkin et al. 2021, arXiv:2006.13202, here per example. The variance is a function of x, so
    this is not a density. It is at least `MIN_VARIANCE`, so that a perfect fit has a finite value.

    Args:
      loc: `[..., D]`; batch shape `[...]`, event shape `[D]`.
    """

    def __init__(self, loc, *, validate_args=None):
        super().__init__(loc, event_dim=1, validate_args=validate_args)

    def log_prob(self, value):
        return optimal_gaussian_log_prob(self.loc, value)
