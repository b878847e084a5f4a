"""Normaliser, moments and entropy of the von Mises-Fisher distribution on the unit sphere S^{d-1} of R^d, d >= 2.

The von Mises-Fisher density is written exp(kappa (mu.x - 1)) / Z, which does not overflow. Z is |S^{d-2}|
int_0^pi sin(theta)^{d-2} exp(kappa (cos theta - 1)) dtheta, and all that is needed (Z, the moments, the derivative of a
sample) is a Gauss-Legendre sum of this integrand around its mode: no Bessel functions.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

REACH = 10.0  # widths from the mode to where integrals stop: at least exp(-20) below it (d = 2, where 10 widths are pi)
NODES, WEIGHTS = (a.astype(np.float32) for a in np.polynomial.legendre.leggauss(64))
TINY = float(np.finfo(np.float32).tiny)


def log_area(dim: int) -> float:
    """Log of the surface 2 pi^{d/2} / Gamma(d/2) of the unit sphere in R^d."""
    return math.log(2) + 0.5 * dim * math.log(math.pi) - math.lgamma(0.5 * dim)


def mode_and_width(kappa, dim: int):
    """The angle at the integrand's mode, and a bound on its width on either side, [...] radians."""
    curvature = 0.5 * (dim - 2 + jnp.sqrt((dim - 2) ** 2 + 4 * jnp.square(kappa))) + TINY
    return jnp.arctan2(jnp.sqrt((dim - 2) * curvature), kappa), lax.rsqrt(curvature)


def gauss_legendre(lower, upper):
    """Nodes and weights [..., 64] on the intervals [...]."""
    half = 0.5 * (upper - lower)[..., None]
    return lower[..., None] + half * (1 + NODES), half * WEIGHTS


def one_minus_cos(theta):
    """1 - cos(theta), accurate near 0."""
    return 2 * jnp.square(jnp.sin(0.5 * theta))


def log_integrand(theta, kappa, dim: int):
    """Log of sin(theta)^{dim-2} exp(kappa (cos theta - 1))."""
    return (dim - 2) * jnp.log(jnp.maximum(jnp.sin(theta), TINY)) - kappa * one_minus_cos(theta)


def _quadrature(kappa, dim: int):
    """Angles and log of (weight x integrand), [..., 64]; the nodes do not follow kappa, so derivatives are moments."""
    mode, width = mode_and_width(lax.stop_gradient(kappa), dim)
    theta, weights = gauss_legendre(jnp.maximum(mode - REACH * width, 0), jnp.minimum(mode + REACH * width, math.pi))
    return theta, jnp.log(weights) + log_integrand(theta, kappa[..., None], dim)


def log_normalizer(kappa, dim: int):
    """Log of Z = int exp(kappa (mu.x - 1)) dx over the sphere in R^dim, [...]; minus log C_d(kappa) minus kappa."""
    return log_area(dim - 1) + jax.nn.logsumexp(_quadrature(jnp.asarray(kappa), dim)[1], axis=-1)


def _expect(function, kappa, dim: int):
    """E[function(theta)], [...]."""
    theta, log_weights = _quadrature(kappa, dim)
    return jnp.sum(jax.nn.softmax(log_weights, axis=-1) * function(theta), axis=-1)


def mean_resultant(kappa, dim: int):
    """A_d(kappa) = E[cos theta] = I_{d/2}(kappa) / I_{d/2-1}(kappa), [...]; by parts, to be as accurate near 0."""
    kappa = jnp.asarray(kappa)
    return kappa / (dim - 1) * _expect(lambda theta: jnp.square(jnp.sin(theta)), kappa, dim)


def mean_versine(kappa, dim: int):
    """E[1 - cos theta], [...]; to full accuracy for large kappa, too."""
    return _expect(one_minus_cos, kappa, dim)


def vmf_entropy(kappa, dim: int):
    """Entropy log Z + kappa E[1 - mu.x], `[...]` nats by surface measure."""
    return log_normalizer(kappa, dim) + kappa * mean_versine(kappa, dim)
