"""Planar and radial flows, and the distribution of a base variable under flows.

Points are `[..., d]`; the leading axes of points and parameters broadcast, such as points `[K, B, d]` and parameters
`[B, d]`.
"""

import functools
import math
import operator
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints
from numpyro.distributions.transforms import Transform
from numpyro.distributions.util import array_equiv

from jaxvae.losses import softplus


class Flow(Transform):
    """Invertible map of R^d. A subclass names its fields and defines `call_with_intermediates` and `_inverse`.

    `call_with_intermediates(x [..., d])` returns y `[..., d]` and log |det dy/dx| `[...]`. The fields in `data_fields`
    are pytrees of arrays; those in `aux_fields` are static and compared by `==`.
    """

    domain = constraints.real_vector  # pyright: ignore[reportAssignmentType]
    codomain = constraints.real_vector  # pyright: ignore[reportAssignmentType]
    data_fields: ClassVar[tuple[str, ...]] = ()
    aux_fields: ClassVar[tuple[str, ...]] = ()

    @property
    def batch_shape(self):
        """Leading axes of the parameters."""
        return ()

    def call_with_intermediates(self, x):
        raise NotImplementedError

    def __call__(self, x):
        return self.call_with_intermediates(x)[0]

    def log_abs_det_jacobian(self, x, y, intermediates=None):
        del y
        return self.call_with_intermediates(x)[1] if intermediates is None else intermediates

    def forward_shape(self, shape):
        return jnp.broadcast_shapes(shape, (*self.batch_shape, 1))

    def inverse_shape(self, shape):
        return self.forward_shape(shape)

    def tree_flatten(self):
        aux = {name: getattr(self, name) for name in self.aux_fields}
        return tuple(getattr(self, name) for name in self.data_fields), (self.data_fields, aux)

    def eq(self, other, static=False):
        (leaves, structure), (others, other_structure) = jax.tree.flatten(self), jax.tree.flatten(other)
        if structure != other_structure:
            return False
        equal = (array_equiv(a, b, static=static) for a, b in zip(leaves, others, strict=True))
        return functools.reduce(operator.and_, equal, True)


class FlowDistribution(dist.TransformedDistribution):
    """Image of `base_dist` under a list of flows: NumPyro's class, with a `mean` for encoding.

    `log_prob(value)` inverts the flows; `log_prob(value, intermediates)`, with those of `sample_with_intermediates`,
    does not. It reuses the terms of the draw, so a copy with stopped gradients must call `log_prob(value)`.
    """

    pytree_data_fields = ()

    def sample_and_log_prob(self, key, sample_shape=()):
        """Sample, with log-densities, without inverting the flows."""
        value, intermediates = self.sample_with_intermediates(key, sample_shape)
        return value, self.log_prob(value, intermediates)

    @property
    def mean(self):
        """Image of the base's mean: the centre, a code without noise. E[z] has no closed form."""
        centre = self.base_dist.mean
        for transform in self.transforms:
            centre = transform(centre)
        return centre


def _positive(raw):
    """softplus(raw), bounded away from 0, where a flow is not invertible."""
    return softplus(raw) + jnp.finfo(raw.dtype).eps


def _slope(t, s):
    """d/dt [t + (s - 1) tanh t], without the cancellation in 1 + (s - 1) (1 - tanh^2 t)."""
    return jnp.square(jnp.tanh(t)) + s * 4 * jax.nn.sigmoid(2 * t) * jax.nn.sigmoid(-2 * t)


@jax.custom_jvp
def _planar_root(s, r):
    """Solve t + (s - 1) tanh t = r for t, elementwise, for s > 0; differentiable to any order.

    The left side is odd, increasing, and for t > 0 convex (s < 1) or concave (s > 1). So Newton's method never
    overshoots if it starts right of the root in the first case and left of it in the second. A step gains a factor of
    3/2 where the root is almost triple (s and r near 0), and half a unit where tanh saturates (s large): 40 steps
    reach rounding error in the hardest cases of float32.
    """
    size = jnp.abs(r)
    start = jnp.where(s < 1, size + 1 - s, jnp.maximum(size + 1 - s, size / s))
    newton = lambda _, t: t - (t + (s - 1) * jnp.tanh(t) - size) / _slope(t, s)  # noqa: E731
    return jnp.sign(r) * jax.lax.fori_loop(0, 40, newton, start)


@_planar_root.defjvp
def _planar_root_jvp(primals, tangents):
    (s, r), (s_dot, r_dot) = primals, tangents
    t = _planar_root(s, r)
    return t, (r_dot - jnp.tanh(t) * s_dot) / _slope(t, s)


class Planar(Flow):
    """y = x + u_hat tanh(w.x + b), with u, w `[..., d]` and b `[...]` (arXiv:1505.05770, equations 10-12).

    u_hat = u + (m(w.u) - w.u) w / |w|^2 has w.u_hat = m(w.u) > -1, which is invertible (appendix A.1). Here
    m(a) = softplus(a + log(e - 1)) - 1, the paper's m shifted to m(0) = 0: the same family of maps, but u = 0 is the
    identity, and u_hat stays bounded as w goes to 0, where the paper's goes to infinity.
    """

    data_fields = ("u", "w", "b")

    def __init__(self, u, w, b):
        self.u, self.w, self.b = jnp.asarray(u), jnp.asarray(w), jnp.asarray(b)

    @property
    def batch_shape(self):
        return jnp.broadcast_shapes(self.u.shape[:-1], self.w.shape[:-1], self.b.shape)

    def _direction(self):
        """u_hat `[..., d]`, and s = 1 + w.u_hat `[...]`: the slope along w where tanh is steepest."""
        along = jnp.sum(self.w * self.u, axis=-1)
        s = _positive(along + math.log(math.e - 1))
        # m(a) - a; the second form is accurate near 0, where it is divided by a small |w|^2.
        excess = jnp.where(along < -1, s - 1 - along, jnp.log1p(jnp.expm1(-jnp.maximum(along, -1)) / math.e))
        square = jnp.sum(jnp.square(self.w), axis=-1) + jnp.finfo(self.w.dtype).eps ** 2
        return self.u + (excess / square)[..., None] * self.w, s

    def call_with_intermediates(self, x):
        u_hat, s = self._direction()
        t = jnp.sum(self.w * x, axis=-1) + self.b
        return x + u_hat * jnp.tanh(t)[..., None], jnp.log(_slope(t, s))

    def _inverse(self, y):
        u_hat, s = self._direction()  # with t = w.x + b, w.y + b = t + (s - 1) tanh t
        s, r = jnp.broadcast_arrays(s, jnp.sum(self.w * y, axis=-1) + self.b)
        return y - u_hat * jnp.tanh(_planar_root(s, r))[..., None]


class Radial(Flow):
    """y = x + beta (x - center) / (alpha + |x - center|), with center `[..., d]` (arXiv:1505.05770, equation 14).

    alpha = softplus(alpha_raw) and beta = softplus(beta_raw) - alpha > -alpha, which is invertible (appendix A.2);
    both `[...]`. Where alpha_raw = beta_raw, the flow is the identity.
    """

    data_fields = ("center", "alpha_raw", "beta_raw")

    def __init__(self, center, alpha_raw, beta_raw):
        self.center, self.alpha_raw, self.beta_raw = jnp.asarray(center), jnp.asarray(alpha_raw), jnp.asarray(beta_raw)

    @property
    def batch_shape(self):
        return jnp.broadcast_shapes(self.center.shape[:-1], self.alpha_raw.shape, self.beta_raw.shape)

    def _polar(self, x):
        """Return x - center `[..., d]`; its length `[...]`, whose gradient at 0 is 0; alpha; s = alpha + beta."""
        offset = x - self.center
        radius = jnp.sqrt(jnp.sum(jnp.square(offset), axis=-1) + jnp.finfo(offset.dtype).tiny)
        return offset, radius, _positive(self.alpha_raw), _positive(self.beta_raw)

    def call_with_intermediates(self, x):
        offset, r, alpha, s = self._polar(x)
        along = jnp.log(r * (r + 2 * alpha) + alpha * s) - 2 * jnp.log(alpha + r)  # of d|y|/d|x|, without cancellation
        across = jnp.log(r + s) - jnp.log(r + alpha)  # of |y|/|x|, in the other d - 1 directions
        return self.center + offset * jnp.exp(across)[..., None], along + (x.shape[-1] - 1) * across

    def _inverse(self, y):
        offset, length, alpha, s = self._polar(y)  # length = r (r + s) / (r + alpha), a quadratic in r
        q = length - s
        root = (jnp.abs(q) + jnp.sqrt(jnp.square(q) + 4 * alpha * length)) / 2  # the larger absolute root
        r = jnp.where(q > 0, root, alpha * length / root)
        return self.center + offset * ((r + alpha) / (r + s))[..., None]
