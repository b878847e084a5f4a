"""LSTM cell, embeddings of tokens, and dropout of words and inputs."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvae.common.sequences import PADDING, shifted
from jaxvae.common.types import Array

Carry = tuple[Array, Array]


class LSTM(nn.Module):
    """LSTM layer (Hochreiter & Schmidhuber 1997, with forget gates); one product covers the inputs of all steps."""

    features: int

    def setup(self):
        self.of_input = nn.Dense(4 * self.features, kernel_init=nn.initializers.glorot_uniform())
        self.kernel = self.param("kernel", nn.initializers.orthogonal(), (self.features, 4 * self.features))

    def _next(self, kernel: Array, carry: Carry, gates: Array) -> Carry:
        cell, hidden = carry
        i, f, g, o = jnp.split(gates + hidden @ kernel, 4, axis=-1)
        cell = jax.nn.sigmoid(f + 1) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)  # + 1: initially it remembers
        return cell, jax.nn.sigmoid(o) * jnp.tanh(cell)

    def step(self, carry: Carry, x: Array) -> Carry:
        """Advance by one step x `[N, D]`; the second of the returned pair is the output."""
        return self._next(self.kernel, carry, self.of_input(x))

    def __call__(self, x: Array, carry: Carry, present: Array | None = None, reverse: bool = False):
        """Map x `[N, T, D]` to outputs `[N, T, features]` and the last carry; steps not `present` leave the carry."""
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
        """Carry before the first step."""
        return jnp.zeros((num, self.features), dtype), jnp.zeros((num, self.features), dtype)


class Embedding(nn.Module):
    """Embed tokens `[...]` or frames `[..., D]` as vectors `[..., features]`; padding and dropped steps as zeros."""

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
        """Inner products `[..., num_tokens]` of vectors `[..., features]` with the embeddings of tokens."""
        return self.table.attend(vectors)


def flat_latent(z: Array, context: Array | None) -> Array:
    """Flatten z `[N, *latent_shape]` to `[N, D]`, and append its context."""
    z = z.reshape(len(z), -1)
    return z if context is None else jnp.concatenate([z, context], axis=-1)


def as_carry(outputs: Array) -> Carry:
    """Split outputs `[N, 2 H]` of a dense layer into a carry, twice `[N, H]`."""
    cell, hidden = jnp.split(jnp.tanh(outputs), 2, axis=-1)
    return cell, hidden


def beside(vectors: Array, others: Array) -> Array:
    """Append to `vectors` `[..., D]` the `others`, broadcast in all axes but the last."""
    return jnp.concatenate([vectors, jnp.broadcast_to(others, (*vectors.shape[:-1], others.shape[-1]))], axis=-1)


def steps_before(module: nn.Module, x: Array, word_dropout: float) -> tuple[Array, Array | bool]:
    """Shift x `[N, T, ...]` by one step, with a mask `[N, T]` of the steps that word dropout keeps."""
    before = shifted(x)
    if not word_dropout or not module.has_rng("dropout"):
        return before, True
    return before, _kept(module, word_dropout, before.shape[:2])


def drop(module: nn.Module, x: Array, rate: float) -> Array:
    """Apply dropout to x `[N, T, ...]` where `module` has a key for it."""
    if not rate or not module.has_rng("dropout"):
        return x
    return jnp.where(_kept(module, rate, x.shape), x / (1 - rate), 0)


def _kept(module: nn.Module, rate: float, shape: tuple[int, ...]) -> Array:
    """Dropout mask of `[N, T, ...]`, drawn step after step, so that more padding does not change earlier steps."""
    num, length, *others = shape
    return jnp.moveaxis(jax.random.bernoulli(module.make_rng("dropout"), 1 - rate, (length, num, *others)), 0, 1)
