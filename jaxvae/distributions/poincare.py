"""The Poincare ball of curvature -c: points with c |x|^2 < 1, metric (2 / (1 - c |x|^2))^2 dx^2; and a normal on it.

All formulas use s = x + y, a = 1 - c |x|^2 and b = 1 - c |y|^2, since the textbook's (arXiv:1805.09112, section 2)
cancel near the boundary:

    x (+) y = (a s + c |s|^2 x) / (c |s|^2 + a b),      sinh(sqrt(c) d(-x, y) / 2)^2 = c |s|^2 / (a b).

c = 0 is Euclidean space (with the metric 4 dx^2). The formulas are regular there, at x = 0 and at v = 0.

Float32 cannot tell points beyond distance 17 (c = 1) from the boundary, so results are clipped to radius
(1 - 1e-5) / sqrt(c): at most 12.2 from the origin, where distances are right to 0.01. Gradients across the clip are 0.
Densities of clipped points are wrong, by 20 nats and more: `at_edge` detects them.
"""

import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints

CLIP = 1e-5
SERIES = 1e-3  # below it, functions of q = t^2 are series: exact in float32, and smooth where t = sqrt(q) is not


def _square(x):
    return jnp.sum(jnp.square(x), axis=-1, keepdims=True)


def _by_series(q, series, function):
    """`function(sqrt(q))`, or `series(q)` where q is small."""
    small = q < SERIES
    return jnp.where(small, series(q), function(jnp.sqrt(jnp.where(small, SERIES, q))))


def _tanhc(q):
    return _by_series(q, lambda q: 1 - q / 3 + 2 * q**2 / 15, lambda t: jnp.tanh(t) / t)


def _asinhc(q):
    return _by_series(q, lambda q: 1 - q / 6 + 3 * q**2 / 40, lambda t: jnp.arcsinh(t) / t)


def _sech2(q):
    return _by_series(
        q, lambda q: 1 - q + 2 * q**2 / 3, lambda t: 4 * jnp.exp(-2 * t) / jnp.square(1 + jnp.exp(-2 * t))
    )


def _log_sinhc(q):
    """log(sinh(t) / t), t = sqrt(q)."""
    return _by_series(q, lambda q: q / 6 - q**2 / 180, lambda t: t + jnp.log(-jnp.expm1(-2 * t) / (2 * t)))


def _clip(x, c):
    q = c * _square(x)
    outside = q > (1 - CLIP) ** 2
    return jnp.where(outside, (1 - CLIP) / jnp.sqrt(jnp.where(outside, q, 1.0)), 1.0) * x


def at_edge(x, c=1.0):
    """Whether points `[..., d]` are clipped, or within a distance of 0.1 of the clipping radius, `[...]`."""
    return c * jnp.sum(jnp.square(x), axis=-1) > (1 - 1.1 * CLIP) ** 2


def _margin(x, c):
    """1 - c |x|^2, `[..., 1]`, at least its value on the clipped boundary."""
    return jnp.maximum(1 - c * _square(x), 2 * CLIP)


def _add(x, y, b, c):
    """Moebius sum x (+) y `[..., d]`, where b = 1 - c |y|^2 is known more accurately than from y.

    Far from the origin its length is computed from its margin a b / (q + a b): the quotient is off by twice the
    relative rounding of s, which is a tenth of the margin where x and y are far on opposite sides.
    """
    s, a = x + y, _margin(x, c)
    q = c * _square(s)
    total = q + a * b
    z = (a * s + q * x) / total
    far = q > a * b
    square, length = (jnp.where(far, value, 1.0) for value in (q / total, c * _square(z)))
    return _clip(z * jnp.sqrt(square / length), c)


def _separation(x, y, c):
    """sinh(sqrt(c) d(x, y) / 2)^2 with d the hyperbolic distance, `[..., 1]`."""
    return c * _square(y - x) / (_margin(x, c) * _margin(y, c))


def mobius_add(x, y, c=1.0):
    """Moebius sum x (+) y of points `[..., d]`; (-x) (+) (x (+) y) = y."""
    return _add(x, y, _margin(y, c), c)


def expmap(x, v, c=1.0):
    """Point `[..., d]` reached from x along the geodesic of tangent v, in ball coordinates, of length 2 |v| / a.

    x (+) tanh(sqrt(c) |v| / a) v / (sqrt(c) |v|) (arXiv:1805.09112, lemma 2).
    """
    v = v / _margin(x, c)
    q = c * _square(v)
    return _add(x, _tanhc(q) * v, _sech2(q), c)


def logmap(x, y, c=1.0):
    """Tangent v `[..., d]` at x, in ball coordinates, with expmap(x, v) = y."""
    s, q = y - x, _separation(x, y, c)
    return _asinhc(q) / jnp.sqrt(1 + q) * (_margin(x, c) * s - c * _square(s) * x) / _margin(y, c)


def expmap0(v, c=1.0):
    """`expmap` from the origin, `[..., d]`, at the distance 2 |v|."""
    return expmap(jnp.zeros_like(v), v, c)


def logmap0(y, c=1.0):
    """`logmap` at the origin, `[..., d]`."""
    return logmap(jnp.zeros_like(y), y, c)


class WrappedNormal(dist.Distribution):
    """Wrapped normal: a normal tangent vector at the origin, transported to loc and mapped to the ball of curvature -c.

    z = exp_loc(v / lambda_loc), v ~ N(0, diag(scale^2)), lambda = 2 / (1 - c |loc|^2) (arXiv:1901.06033, section 3;
    arXiv:1902.02992). v is in orthonormal coordinates, so `scale` `[..., d]` or `[..., 1]` is in units of hyperbolic
    distance for any loc `[..., d]`. `curvature` is c >= 0, a constant and not a parameter.

    The density is with respect to the hyperbolic volume lambda_z^d dz (multiplied by lambda_z^d it is that of the
    coordinates). Ratios of two such densities do not depend on this choice, so KLs and likelihood bounds are right if
    prior and posterior are both on this ball. As c -> 0 the volume becomes 2^d dz, the distance 2 |z|, and z is
    N(loc, (scale / 2)^2), by the factor 2 of the ball's metric.

    `sample_and_log_prob` is exact to float32. `log_prob` at a z, whose coordinates are rounded, is off by about
    e^(r - 18) / scale nats, r the distance of z from the origin (c = 1): by 0.03 at r = 10 and scale 0.01.
    """

    arg_constraints = {"loc": constraints.real_vector, "scale": constraints.positive}  # noqa: RUF012 (NumPyro's way)
    support = constraints.real_vector  # pyright: ignore[reportAssignmentType]
    reparametrized_params = ["loc", "scale"]  # noqa: RUF012
    pytree_data_fields = ("loc", "scale")
    pytree_aux_fields = ("curvature",)

    def __init__(self, loc, scale, curvature=1.0, *, validate_args=None):
        self.loc, self.scale, self.curvature = jnp.asarray(loc), jnp.asarray(scale), curvature
        batch_shape = jnp.broadcast_shapes(self.loc.shape[:-1], self.scale.shape[:-1])
        super().__init__(batch_shape, self.loc.shape[-1:], validate_args=validate_args)

    @property
    def mean(self):
        """Loc, the image of v = 0 and the centre of symmetry of the density; not the mean of coordinates."""
        return self.loc + jnp.zeros_like(self.scale[..., :1])

    def sample(self, key, sample_shape=()):
        return self.sample_and_log_prob(key, sample_shape)[0]

    def sample_and_log_prob(self, key, sample_shape=()):
        """Sample `[*sample_shape, ..., d]`, with log-densities computed from v.

        `log_prob(z)` recovers v from the rounded coordinates of z, which is less accurate.
        """
        shape = (*sample_shape, *jnp.broadcast_shapes(self.loc.shape, self.scale.shape))  # also right inside a vmap
        v = self.scale * dist.Normal(0.0, 1.0).sample(key, shape)
        z = expmap(self.loc, 0.5 * _margin(self.loc, self.curvature) * v, self.curvature)
        log_normal = jnp.sum(dist.Normal(0.0, self.scale).log_prob(v), axis=-1)
        return z, log_normal - (self.event_shape[0] - 1) * _log_sinhc(self.curvature * _square(v))[..., 0]

    def log_prob(self, value):
        """In nats, log N(v; 0, scale^2) + (d - 1) log(sqrt(c) r / sinh(sqrt(c) r)), r = |v| (arXiv:1901.06033)."""
        v = logmap(self.loc, value, self.curvature) * (2 / _margin(self.loc, self.curvature))
        q = _separation(self.loc, value, self.curvature)
        log_ratio = jnp.log(_asinhc(q)) - 0.5 * jnp.log1p(q)
        log_normal = jnp.sum(dist.Normal(0.0, self.scale).log_prob(v), axis=-1)
        return log_normal + (self.event_shape[0] - 1) * log_ratio[..., 0]
