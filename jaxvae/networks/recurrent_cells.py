"""The cell of a recurrent network, embeddings of tokens, and dropout of words and inputs."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvae.common.sequences import PADDING, shifted
from jaxvae.common.types import Array

Carry = tuple[Array, Array]


class LSTM(nn.Module):
    """One layer (Hochreiter & Schmidhuber 1997, with forget gates); the products with the inputs are done at once."""

    features: int

    def setup(self):
        self.of_input = nn.Dense(4 * self.features, kernel_init=nn.initializers.glorot_uniform())
        self.kernel = self.param("kernel", nn.initializers.orthogonal(), (self.features, 4 * self.features))

    def _next(self, kernel: Array, carry: Carry, gates: Array) -> Carry:
        cell, hidden = carry
        i, f, g, o = jnp.split(gates + hidden @ kernel, 4, axis=-1)
        cell = jax.nn.sigmoid(f + 1) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)  # + 1: it starts by remembering
        return cell, jax.nn.sigmoid(o) * jnp.tanh(cell)

    def step(self, carry: Carry, x: Array) -> Carry:
        """One step: x `[N, D]`; the second of the pair returned is the output."""
        return self._next(self.kernel, carry, self.of_input(x))

    def __call__(self, x: Array, carry: Carry, present: Array | None = None, reverse: bool = False):
        """X `[N, T, D]` to outputs `[N, T, features]` and the last carry; steps that are not present change nothing."""
        kernel, gates = self.kernel, jnp.moveaxis(self.of_input(x), -2, 0)

        def step(carry, inputs):
            following = self._next(kernel, carry, inputs[0])
            if present is not None:
                following = jax.tree.map(lambda a, b: jnp.where(inputs[1][:, None], a, b), following, carry)
            return following, following[1]

        inputs = (gates,) if present is None else (gates, present.T)
        carry, outputs = jax.lax.scan(step, carry, inputs, reverse=reverse)
        return jnp.moveaxis(outputs, 0, -2), carry

    def zeros(self, num: int, dtype: jnp.dtype) -> Carry:
        """The carry before the first step."""
        return jnp.zeros((num, self.features), dtype), jnp.zeros((num, self.features), dtype)


class Embedding(nn.Module):
    """Tokens `[...]` or frames `[..., D]` to vectors `[..., features]`; padding and dropped steps to zeros."""

    num_tokens: int  # 0 for frames
    features: int

    def setup(self):
        self.table = nn.Embed(self.num_tokens, self.features) if self.num_tokens else nn.Dense(self.features)

    def __call__(self, x: Array, keep: Array | bool = True) -> Array:
        present = (x if self.num_tokens else x[..., 0]) > PADDING
        known = jnp.maximum(x, 0)
        return jnp.where(
            (present & keep)[..., None], self.table(known.astype(jnp.int32) if self.num_tokens else known), 0
        )

    def attend(self, vectors: Array) -> Array:
        """The products `[..., num_tokens]` of vectors `[..., features]` with those of the tokens."""
        return self.table.attend(vectors)


def flat_latent(z: Array, context: Array | None) -> Array:
    """Z `[N, *latent_shape]` as `[N, D]`, with its context."""
    z = z.reshape(len(z), -1)
    return z if context is None else jnp.concatenate([z, context], axis=-1)


def as_carry(outputs: Array) -> Carry:
    """The carry `[N, H]` twice that outputs `[N, 2 H]` of a dense layer stand for."""
    cell, hidden = jnp.split(jnp.tanh(outputs), 2, axis=-1)
    return cell, hidden


def beside(vectors: Array, others: Array) -> Array:
    """`vectors` `[..., D]` and, beside each, `others`, whose other axes are broadcast."""
    return jnp.concatenate([vectors, jnp.broadcast_to(others, (*vectors.shape[:-1], others.shape[-1]))], axis=-1)


def steps_before(module: nn.Module, x: Array, word_dropout: float) -> tuple[Array, Array | bool]:
    """What stands one step before in x `[N, T, ...]`, and which of it, `[N, T]`, the decoder is shown."""
    before = shifted(x)
    if not word_dropout or not module.has_rng("dropout"):
        return before, True
    return before, _kept(module, word_dropout, before.shape[:2])


def drop(module: nn.Module, x: Array, rate: float) -> Array:
    """Dropout of x `[N, T, ...]`, where `module` has a key for it."""
    if not rate or not module.has_rng("dropout"):
        return x
    return jnp.where(_kept(module, rate, x.shape), x / (1 - rate), 0)


def _kept(module: nn.Module, rate: float, shape: tuple[int, ...]) -> Array:
    """What of `[N, T, ...]` is not dropped; drawn step after step, so that more padding changes nothing before it."""
    num, length, *others = shape
    return jnp.moveaxis(jax.random.bernoulli(module.make_rng("dropout"), 1 - rate, (length, num, *others)), 0, 1)
