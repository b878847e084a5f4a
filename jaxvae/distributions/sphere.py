"""Distributions on the unit sphere S^{d-1} of R^d, d >= 2; densities are with respect to its surface measure, in nats.

The von Mises-Fisher density is written exp(kappa (mu.x - 1)) / Z, which does not overflow. With theta the angle between
x and mu, Z = |S^{d-2}| int_0^pi sin(theta)^{d-2} exp(kappa (cos theta - 1)) dtheta, and all that is needed (Z, the
moments, the derivative of a sample) is a Gauss-Legendre sum of this integrand around its mode: no Bessel functions.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import lax
from numpyro.distributions import constraints

REACH = 10.0  # widths from the mode to where integrals stop: at least exp(-20) below it (d = 2, where 10 widths are pi)
NODES, WEIGHTS = (a.astype(np.float32) for a in np.polynomial.legendre.leggauss(64))
TINY = float(np.finfo(np.float32).tiny)


def log_area(dim: int) -> float:
    """Log of the surface 2 pi^{d/2} / Gamma(d/2) of the unit sphere in R^d."""
    return math.log(2) + 0.5 * dim * math.log(math.pi) - math.lgamma(0.5 * dim)


def _mode_and_width(kappa, dim: int):
    """The angle at the integrand's mode, and a bound on its width on either side, [...] radians."""
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
    """Angles and log of (weight x integrand), [..., 64]; the nodes do not follow kappa, so derivatives are moments."""
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
    """A_d(kappa) = E[cos theta] = I_{d/2}(kappa) / I_{d/2-1}(kappa), [...]; by parts, to be as accurate near 0."""
    kappa = jnp.asarray(kappa)
    return kappa / (dim - 1) * _expect(lambda theta: jnp.square(jnp.sin(theta)), kappa, dim)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _implicit(theta, kappa, dim: int):
    """Theta, a sample at kappa, which moves with kappa so that its CDF F(theta; kappa) stays the same."""
    del kappa, dim
    return theta


@_implicit.defjvp
def _implicit_jvp(dim, primals, tangents):
    """dtheta/dkappa = -(dF/dkappa) / p(theta) (arXiv:1805.08498, section 3), with dF/dkappa = int_0^theta p (cos - A).

    The same integral from theta to pi is its negative. Each theta takes the side away from the mode, where the ratio of
    densities is at most 1 and nearly nothing cancels.
    """
    (theta, kappa), (theta_dot, kappa_dot) = primals, tangents
    theta = _implicit(theta, kappa, dim)  # again a function of kappa, for second derivatives
    mode, width = _mode_and_width(kappa, dim)
    above = theta > mode
    lower = jnp.where(above, theta, jnp.maximum(theta - REACH * width, 0))
    upper = jnp.where(above, jnp.minimum(theta + REACH * width, math.pi), theta)
    t, weights = _gauss_legendre(lower, upper)
    ratio = jnp.exp(_log_integrand(t, kappa[..., None], dim) - _log_integrand(theta, kappa, dim)[..., None])
    integral = jnp.sum(weights * ratio * (_expect(_one_minus_cos, kappa, dim)[..., None] - _one_minus_cos(t)), axis=-1)
    return theta, theta_dot + jnp.where(above, integral, -integral) * kappa_dot


def _sample_angle(key, kappa, dim: int):
    """Angles to the mean `[...]`, by rejection until the last is accepted.

    Wood's envelope (1994, Communications in Statistics 23(1)) without its Beta variable and its cancellations: a
    uniform point of the sphere at angle alpha to the pole goes to theta with tan(theta/2) = sqrt(b) tan(alpha/2).
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
        # Not for nan: a run that diverged must not wait here for ever.
        return key, theta, rejected & (log_accept < -jax.random.exponential(accept_key, kappa.shape, kappa.dtype))

    start = key, jnp.zeros_like(kappa), jnp.ones(kappa.shape, bool)
    return lax.while_loop(lambda state: jnp.any(state[-1]), again, start)[1]


class VonMisesFisher(dist.Distribution):
    """Density exp(kappa loc.x) C_d(kappa) on the sphere: loc `[..., d]` of length 1, concentration kappa `[...]` > 0.

    Samples are exact and differentiable in both. A derivative by loc means something along the sphere only: normalise
    what a network puts out. kappa = 1e-3 to 1e4 and d = 2 to 64 are tested.
    """

    arg_constraints = {"loc": constraints.sphere, "concentration": constraints.positive}  # noqa: RUF012 (NumPyro's way)
    support = constraints.sphere  # pyright: ignore[reportAssignmentType]
    reparametrized_params = ["loc", "concentration"]  # noqa: RUF012
    pytree_data_fields = ("loc", "concentration")

    def __init__(self, loc, concentration, *, validate_args=None):
        self.loc, self.concentration = jnp.asarray(loc), jnp.asarray(concentration)
        batch_shape = jnp.broadcast_shapes(self.loc.shape[:-1], self.concentration.shape)
        super().__init__(batch_shape, self.loc.shape[-1:], validate_args=validate_args)

    @property
    def mean(self):
        """A_d(kappa) loc, inside the sphere."""
        return mean_resultant(self.concentration, self.event_shape[0])[..., None] * self.loc

    @property
    def centre(self):
        """loc, the point of the sphere that stands for the distribution."""
        return self.loc + jnp.zeros_like(self.concentration)[..., None]

    def sample(self, key: Any, sample_shape=()):
        dim, loc = self.event_shape[0], self.loc
        shape = (*sample_shape, *jnp.broadcast_shapes(loc.shape[:-1], self.concentration.shape))  # right in a vmap, too
        kappa = jnp.broadcast_to(self.concentration, shape)
        angle_key, direction_key = jax.random.split(key)
        theta = _implicit(_sample_angle(angle_key, lax.stop_gradient(kappa), dim), kappa, dim)[..., None]
        # A uniform direction of the tangent space at loc: what a normal vector has beside loc. Twice, since the first
        # time leaves the rounding of what was taken away, which is much where the vector happens to lie along loc.
        tangent = jax.random.normal(direction_key, (*shape, dim), kappa.dtype)
        for _ in range(2):
            tangent = tangent - jnp.sum(tangent * loc, axis=-1, keepdims=True) * loc
            tangent = tangent / jnp.sqrt(jnp.sum(jnp.square(tangent), axis=-1, keepdims=True) + TINY)
        return jnp.cos(theta) * loc + jnp.sin(theta) * tangent

    def log_prob(self, value):
        """Nats by surface; mu.x - 1 = -|x - mu|^2 / 2 keeps its digits where x is near mu."""
        exponent = -0.5 * self.concentration * jnp.sum(jnp.square(value - self.loc), axis=-1)
        return exponent - log_normalizer(self.concentration, self.event_shape[0])

    def entropy(self):
        """Of each distribution, `[...]` nats: log Z + kappa E[1 - mu.x]."""
        dim, kappa = self.event_shape[0], self.concentration
        return (
            log_normalizer(kappa, dim) + kappa * _expect(_one_minus_cos, kappa, dim) + jnp.zeros_like(self.loc[..., 0])
        )


class HypersphericalUniform(dist.Distribution):
    """Constant density on the unit sphere of R^dim."""

    support = constraints.sphere  # pyright: ignore[reportAssignmentType]
    pytree_aux_fields = ("dim",)

    def __init__(self, dim, *, validate_args=None):
        self.dim = dim
        super().__init__((), (dim,), validate_args=validate_args)

    @property
    def mean(self):
        return jnp.zeros(self.dim)

    def sample(self, key: Any, sample_shape=()):
        normal = dist.Normal(0.0, 1.0).sample(key, (*sample_shape, self.dim))
        return normal / jnp.linalg.norm(normal, axis=-1, keepdims=True)

    def log_prob(self, value):
        return jnp.full(jnp.shape(value)[:-1], -log_area(self.dim))

    def entropy(self):
        return jnp.full((), log_area(self.dim))


def kl_vmf_uniform(vmf: VonMisesFisher):
    """KL of the vMF to the uniform: kappa A + log C_d(kappa) + log area, `[...]` nats (arXiv:1804.00891)."""
    return log_area(vmf.event_shape[0]) - vmf.entropy()
