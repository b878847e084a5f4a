"""Flows with triangular Jacobians, built on a network: autoregressive and coupling layers.

`net(params, x [..., d], context [..., C] or None)` returns two arrays `[..., d]`. It is static, compared by `==`: make
it once, not in each call, or `jit` compiles again.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxvae.distributions.flows import Flow

GATE_BIAS = 2.0  # with a network output of 0, the layer keeps most of x: sigmoid(2) = 0.88


class _NetFlow(Flow):
    data_fields = ("params", "context")
    aux_fields = ("net",)

    def __init__(self, net, params, context=None):
        self.net, self.params, self.context = net, params, context

    @property
    def batch_shape(self):
        return () if self.context is None else self.context.shape[:-1]

    def _outputs(self, x):
        return self.net(self.params, jnp.broadcast_to(x, self.forward_shape(x.shape)), self.context)


class Autoregressive(_NetFlow):
    """y = s x + (1 - s) m, with s = sigmoid(s_raw + 2) and m, s_raw = net(x) (arXiv:1606.04934, equations 12-14).

    Output i of the network must depend on x_1 .. x_(i-1) only, as in `Made`. The forward map takes one pass, the
    inverse d.
    """

    def _gate(self, x):
        m, s_raw = self._outputs(x)
        return m, s_raw + GATE_BIAS

    def call_with_intermediates(self, x):
        m, logit = self._gate(x)
        return m + jax.nn.sigmoid(logit) * (x - m), jnp.sum(jax.nn.log_sigmoid(logit), axis=-1)

    def _inverse(self, y):
        y = jnp.broadcast_to(y, self.forward_shape(y.shape))
        dims = jnp.arange(y.shape[-1])

        def solve(x, i):
            m, logit = self._gate(x)
            # 1/s = 1 + exp(-logit). Later dimensions are not solved yet and could overflow, so they are masked.
            excess = jnp.exp(-jnp.where(dims == i, logit, 0))
            return jnp.where(dims == i, y + (y - m) * excess, x), None

        return jax.lax.scan(solve, jnp.zeros_like(y), dims)[0]


class Coupling(_NetFlow):
    """y = x exp(a) + b where `mask` is False, y = x where it is True (arXiv:1605.08803, section 3.4).

    b, a_raw = net(x where the mask is True, else 0) and a = tanh(a_raw), so that a layer scales by at most e. The mask
    is a sequence of d booleans.
    """

    aux_fields = ("net", "mask")

    def __init__(self, net, params, mask, context=None):
        super().__init__(net, params, context)
        self.mask = tuple(bool(kept) for kept in mask)

    def _affine(self, kept):
        """Shift b and log-scale a, `[..., d]`, from x or y, which share the kept values."""
        mask = jnp.asarray(self.mask)
        shift, raw = self._outputs(jnp.where(mask, kept, 0))
        return jnp.where(mask, 0, shift), jnp.where(mask, 0, jnp.tanh(raw))

    def call_with_intermediates(self, x):
        shift, log_scale = self._affine(x)
        return x * jnp.exp(log_scale) + shift, jnp.sum(log_scale, axis=-1)

    def _inverse(self, y):
        shift, log_scale = self._affine(y)
        return (y - shift) * jnp.exp(-log_scale)


class Reverse(Flow):
    """Reverse the order of dimensions between layers.

    NumPyro's `PermuteTransform` has its permutation as a leaf, which `vmap` over a distribution would slice.
    """

    def call_with_intermediates(self, x):
        return x[..., ::-1], jnp.zeros(x.shape[:-1], x.dtype)

    def _inverse(self, y):
        return y[..., ::-1]


def with_network(layer: Any, change: Callable[[Any], Any]) -> Any:
    """Replace the network of a layer, or of its inverse, by `change(net)`; layers without one are unchanged."""
    if isinstance(layer, Reverse):
        return layer
    if isinstance(layer, Coupling):
        return Coupling(change(layer.net), layer.params, layer.mask, layer.context)
    if isinstance(layer, Autoregressive):
        return Autoregressive(change(layer.net), layer.params, layer.context)
    return with_network(layer.inv, change).inv
