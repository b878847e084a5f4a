"""Networks of flows, from a point `[..., d]` and a context `[..., C]` to two outputs `[..., d]`, and over codes."""

import itertools
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from jaxvae.common.types import Array
from jaxvae.networks.mlp import HIDDEN_INIT, MLP, OUTPUT_INIT


class MaskedDense(nn.Module):
    """Dense layer that connects an input to an output only if the input's degree is at most the output's."""

    in_degrees: tuple[int, ...]
    out_degrees: tuple[int, ...]
    kernel_init: Callable[..., Array]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        mask = np.less_equal.outer(self.in_degrees, self.out_degrees)
        kernel = self.param("kernel", self.kernel_init, mask.shape)
        bias = self.param("bias", nn.initializers.zeros, mask.shape[1:])
        y = x.reshape(-1, x.shape[-1]) @ jnp.where(mask, kernel, 0) + bias  # flattened as in MLP
        return y.reshape(*x.shape[:-1], -1)


class Made(nn.Module):
    """Two outputs `[..., d]`, whose component i depends on x_1 .. x_(i-1) and on all of `context` (arXiv:1502.03509).

    A unit of degree k depends on x_1 .. x_k: input k has degree k, output k has k - 1, and hidden units share the
    degrees 0 .. d - 1 evenly. Units of degree 0, which the paper does not have, pass the context to the first output.
    """

    hidden: tuple[int, ...]
    activation: Callable[[Array], Array] = nn.elu

    @nn.compact
    def __call__(self, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        d = x.shape[-1]
        layers = [tuple(range(1, d + 1)), *(tuple(k * d // width for k in range(width)) for width in self.hidden)]
        layers.append((*range(d), *range(d)))
        for i, (inputs, outputs) in enumerate(itertools.pairwise(layers)):
            init = HIDDEN_INIT if i < len(self.hidden) else OUTPUT_INIT
            x = MaskedDense(inputs, outputs, init)(x if i == 0 else self.activation(x))
            if i == 0 and context is not None:
                x = x + nn.Dense(len(outputs), use_bias=False, kernel_init=init)(context)
        first, second = jnp.split(x, 2, axis=-1)
        return first, second


class CouplingNet(nn.Module):
    """Two outputs `[..., d]` of an unmasked MLP; the coupling layer masks its input."""

    hidden: tuple[int, ...]
    activation: Callable[[Array], Array] = nn.relu

    @nn.compact
    def __call__(self, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        outputs = MLP(x.shape[-1:], self.hidden, (2, x.shape[-1]), self.activation)(x, context)
        return outputs[..., 0, :], outputs[..., 1, :]


class CodeMade(nn.Module):
    """Logits `[..., N, num_codes]` for codes `[..., N]`; those of code n depend on the codes before it (as `Made`)."""

    num_codes: int
    hidden: tuple[int, ...]
    embed_dim: int

    @nn.compact
    def __call__(self, codes: Array) -> Array:
        length = codes.shape[-1]
        x = nn.Embed(self.num_codes, self.embed_dim)(codes).reshape(*codes.shape[:-1], -1)
        degrees = tuple(n + 1 for n in range(length) for _ in range(self.embed_dim))
        for width in self.hidden:
            wider = tuple(k * length // width for k in range(width))
            x = nn.elu(MaskedDense(degrees, wider, HIDDEN_INIT)(x))
            degrees = wider
        last = tuple(n for n in range(length) for _ in range(self.num_codes))
        return MaskedDense(degrees, last, OUTPUT_INIT)(x).reshape(*codes.shape, self.num_codes)
