"""Draws of the angle theta between a von Mises-Fisher variable and its mean, differentiable in the concentration."""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from jaxvae.losses.sphere import REACH, gauss_legendre, log_integrand, mean_versine, mode_and_width, one_minus_cos


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
    mode, width = mode_and_width(kappa, dim)
    above = theta > mode
    lower = jnp.where(above, theta, jnp.maximum(theta - REACH * width, 0))
    upper = jnp.where(above, jnp.minimum(theta + REACH * width, math.pi), theta)
    t, weights = gauss_legendre(lower, upper)
    ratio = jnp.exp(log_integrand(t, kappa[..., None], dim) - log_integrand(theta, kappa, dim)[..., None])
    integral = jnp.sum(weights * ratio * (mean_versine(kappa, dim)[..., None] - one_minus_cos(t)), axis=-1)
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
        p = one_minus_cos(theta)
        log_accept = kappa * (2 * b / (1 + b) - p) + (dim - 1) * jnp.log(0.5 * (1 + b) * (1 + 0.5 * (1 / b - 1) * p))
        # NaN counts as accepted, so that a run that diverged does not loop forever.
        return key, theta, rejected & (log_accept < -jax.random.exponential(accept_key, kappa.shape, kappa.dtype))

    start = key, jnp.zeros_like(kappa), jnp.ones(kappa.shape, bool)
    return lax.while_loop(lambda state: jnp.any(state[-1]), again, start)[1]
