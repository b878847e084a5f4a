"""The angle theta between a von Mises-Fisher variable on the unit sphere S^{d-1} of R^d, d >= 2, and its mean mu.

The von Mises-Fisher density is written exp(kappa (mu.x - 1)) / Z, which does not overflow. Z is |S^{d-2}|
int_0^pi sin(theta)^{d-2} exp(kappa (cos theta - 1)) dtheta. Z, the moments and the derivative of a sample are
Gauss-Legendre sums of this integrand around its mode, without Bessel functions.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

REACH = 10.0  # widths from the mode to the ends of integrals; the integrand falls by exp(-20) or more (worst: d = 2)
NODES, WEIGHTS = (a.astype(np.float32) for a in np.polynomial.legendre.leggauss(64))
TINY = float(np.finfo(np.float32).tiny)


def log_area(dim: int) -> float:
    """Log of the surface area 2 pi^{d/2} / Gamma(d/2) of the unit sphere in R^d."""
    return math.log(2) + 0.5 * dim * math.log(math.pi) - math.lgamma(0.5 * dim)


def _mode_and_width(kappa, dim: int):
    """Mode of the integrand, and a bound on its width on either side, [...] radians."""
    curvature = 0.5 * (dim - 2 + jnp.sqrt((dim - 2) ** 2 + 4 * jnp.square(kappa))) + TINY
    return jnp.arctan2(jnp.sqrt((dim - 2) * curvature), kappa), lax.rsqrt(curvature)


def _gauss_legendre(lower, upper):
    """Nodes and weights [..., 64] on the intervals [...]."""
    half = 0.5 * (upper - lower)[..., None]
    return lower[..., None] + half * (1 + NODES), half * WEIGHTS


def _one_minus_cos(theta):
    return 2 * jnp.square(jnp.sin(0.5 * theta))


def _log_integrand(theta, kappa, dim: int):
    return (dim - 2) * jnp.log(jnp.maximum(jnp.sin(theta), TINY)) - kappa * _one_minus_cos(theta)


def _quadrature(kappa, dim: int):
    """Angles and log of (weight x integrand), [..., 64]; nodes are constant in kappa, so derivatives are moments."""
    mode, width = _mode_and_width(lax.stop_gradient(kappa), dim)
    theta, weights = _gauss_legendre(jnp.maximum(mode - REACH * width, 0), jnp.minimum(mode + REACH * width, math.pi))
    return theta, jnp.log(weights) + _log_integrand(theta, kappa[..., None], dim)


def log_normalizer(kappa, dim: int):
    """Log of Z = int exp(kappa (mu.x - 1)) dx over the sphere in R^dim, [...]; minus log C_d(kappa) minus kappa."""
    return log_area(dim - 1) + jax.nn.logsumexp(_quadrature(jnp.asarray(kappa), dim)[1], axis=-1)


def _expect(function, kappa, dim: int):
    """E[function(theta)], [...]."""
    theta, log_weights = _quadrature(kappa, dim)
    return jnp.sum(jax.nn.softmax(log_weights, axis=-1) * function(theta), axis=-1)


def mean_resultant(kappa, dim: int):
    """A_d(kappa) = E[cos theta] = I_{d/2}(kappa) / I_{d/2-1}(kappa), [...]; by parts, to be accurate near 0 too."""
    kappa = jnp.asarray(kappa)
    return kappa / (dim - 1) * _expect(lambda theta: jnp.square(jnp.sin(theta)), kappa, dim)


def mean_versine(kappa, dim: int):
    """E[1 - cos theta], [...]; accurate for large kappa too."""
    return _expect(_one_minus_cos, kappa, dim)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _implicit(theta, kappa, dim: int):
    """Return theta, a sample at kappa, with the derivative in kappa that keeps its CDF F(theta; kappa) constant."""
    del kappa, dim
    return theta


@_implicit.defjvp
def _implicit_jvp(dim, primals, tangents):
    """dtheta/dkappa = -(dF/dkappa) / p(theta) (arXiv:1805.08498, section 3), with dF/dkappa = int_0^theta p (cos - A).

    The same integral from theta to pi is its negative. Each theta integrates away from the mode, where the ratio of
    densities is at most 1 and cancellation is negligible.
    """
    (theta, kappa), (theta_dot, kappa_dot) = primals, tangents
    theta = _implicit(theta, kappa, dim)  # again a function of kappa, for second derivatives
    mode, width = _mode_and_width(kappa, dim)
    above = theta > mode
    lower = jnp.where(above, theta, jnp.maximum(theta - REACH * width, 0))
    upper = jnp.where(above, jnp.minimum(theta + REACH * width, math.pi), theta)
    t, weights = _gauss_legendre(lower, upper)
    ratio = jnp.exp(_log_integrand(t, kappa[..., None], dim) - _log_integrand(theta, kappa, dim)[..., None])
    integral = jnp.sum(weights * ratio * (mean_versine(kappa, dim)[..., None] - _one_minus_cos(t)), axis=-1)
    return theta, theta_dot + jnp.where(above, integral, -integral) * kappa_dot


def sample_angle(key, kappa, dim: int):
    """Sample a theta for each kappa, `[...]`, differentiable in kappa."""
    return _implicit(_draw(key, lax.stop_gradient(kappa), dim), kappa, dim)


def _draw(key, kappa, dim: int):
    """Sample thetas by rejection.

    Wood's envelope (1994, Communications in Statistics 23(1)) without its Beta variable and its cancellations: a
    uniform point of the sphere at angle alpha to the pole is mapped to theta by tan(theta/2) = sqrt(b) tan(alpha/2).
    """
    b = (dim - 1) / (2 * kappa + jnp.sqrt(4 * jnp.square(kappa) + (dim - 1) ** 2))

    def again(state):
        key, theta, rejected = state
        key, point_key, accept_key = jax.random.split(key, 3)
        first, *rest = jnp.moveaxis(jax.random.normal(point_key, (*kappa.shape, dim), kappa.dtype), -1, 0)
        alpha = jnp.arctan2(jnp.sqrt(sum(jnp.square(x) for x in rest)), first)
        fresh = 2 * jnp.arctan(jnp.sqrt(b) * jnp.tan(0.5 * alpha))
        theta = jnp.where(rejected, fresh, theta)
        p = _one_minus_cos(theta)
        log_accept = kappa * (2 * b / (1 + b) - p) + (dim - 1) * jnp.log(0.5 * (1 + b) * (1 + 0.5 * (1 / b - 1) * p))
        # NaN counts as accepted, so that a run that diverged does not loop forever.
        return key, theta, rejected & (log_accept < -jax.random.exponential(accept_key, kappa.shape, kappa.dtype))

    start = key, jnp.zeros_like(kappa), jnp.ones(kappa.shape, bool)
    return lax.while_loop(lambda state: jnp.any(state[-1]), again, start)[1]
