"""Two-level decoder for music: a conductor over bars, then the steps of each bar (MusicVAE, arXiv:1803.05428)."""

import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxvae.common.ranges import FRACTION, check, within
from jaxvae.common.types import Array
from jaxvae.networks.base import Network
from jaxvae.networks.recurrent import check_sequence, sequence_encoder, token_count
from jaxvae.networks.recurrent_cells import LSTM, Embedding, as_carry, beside, drop, flat_latent, steps_before


class HierarchicalDecoder(nn.Module):
    """Decode with two LSTMs (section 3.2). The conductor, initialised from z, outputs a vector per bar. The lower LSTM
    is initialised from this vector in each bar, and reads it and the previous step. So bars are related through z
    alone, apart from the previous step.

    Has the methods of `SequenceDecoder`.
    """

    num_tokens: int
    num_bars: int
    bar: int
    embed_dim: int
    hidden: int
    conductor: int
    outputs: tuple[int, ...]  # of one step
    dropout: float
    word_dropout: float

    def setup(self):
        self.embed, self.layer = Embedding(self.num_tokens, self.embed_dim), LSTM(self.hidden)
        self.leader, self.of_latent = LSTM(self.conductor), nn.Dense(2 * self.conductor)
        self.of_bar, self.head = nn.Dense(2 * self.hidden), nn.Dense(math.prod(self.outputs))

    def __call__(self, z: Array, x: Array, context: Array | None = None) -> Array:
        """Map z `[N, ...]` and x `[N, T]` or `[N, T, D]` to `[N, T, *outputs]`."""
        before, keep = steps_before(self, x, self.word_dropout)
        vectors = drop(self, self.embed(before, keep), self.dropout)
        num, length, _ = vectors.shape
        some = -(-length // self.bar)  # bars
        vectors = jnp.pad(vectors, ((0, 0), (0, some * self.bar - length), (0, 0)))
        bars = self._bars(z, context, some).reshape(num * some, -1)
        inputs = beside(vectors.reshape(num * some, self.bar, -1), bars[:, None])
        hidden = self.layer(inputs, self._first(bars))[0].reshape(num, some * self.bar, -1)[:, :length]
        return self._out(drop(self, hidden, self.dropout))

    def start(self, z: Array, context: Array | None = None):
        """State before the first step."""
        bars = self._bars(z, context, self.num_bars)
        return bars, self._first(bars[:, 0]), jnp.zeros(len(z), jnp.int32)

    def step(self, state, before: Array):
        """Map the previous step, `[N]` or `[N, D]` (-1: none), to the next state and outputs `[N, *outputs]`."""
        bars, carry, t = state
        bar = jnp.take_along_axis(bars, (t // self.bar)[:, None, None], axis=1)[:, 0]
        is_new = (t % self.bar == 0)[:, None]
        carry = jax.tree.map(lambda new, old: jnp.where(is_new, new, old), self._first(bar), carry)
        carry = self.layer.step(carry, beside(self.embed(before), bar))
        return (bars, carry, t + 1), self._out(carry[1])

    def _bars(self, z: Array, context: Array | None, num: int) -> Array:
        """Vectors of the first `num` bars, `[N, num, conductor]`."""
        z = flat_latent(z, context)
        return self.leader(jnp.repeat(z[:, None], num, axis=1), as_carry(self.of_latent(z)))[0]

    def _first(self, bar: Array) -> tuple[Array, Array]:
        return as_carry(self.of_bar(bar))

    def _out(self, hidden: Array) -> Array:
        return self.head(hidden).reshape(*hidden.shape[:-1], *self.outputs)


def hierarchical(
    data_shape: tuple[int, ...],
    levels: int,
    bar: int = 4,
    embed_dim: int = 128,
    hidden: int = 256,
    conductor: int = 256,
    encoder_hidden: int = 0,
    dropout: float = 0.0,
    word_dropout: float = 0.0,
) -> Network:
    """Bidirectional LSTM encoder and two-level decoder (arXiv:1803.05428).

    Args:
      data_shape: `(T,)` for tokens, `(T, D)` for frames.
      levels: size of the vocabulary of tokens.
      bar: steps per bar.
      embed_dim: size of the embeddings of tokens or frames.
      hidden: state size of the lower LSTM.
      conductor: state size of the conductor.
      encoder_hidden: state size of the encoder, per direction; 0 for `hidden`.
      dropout: rate for embeddings and outputs of the decoder, in training.
      word_dropout: share of the previous steps hidden from the decoder, in training.

    Raises:
      UserError: a size below 1, a rate outside [0, 1), or data that is not sequences.
    """
    check_sequence("hierarchical", data_shape)
    check(
        "network", "hierarchical", bar=(bar, within(1)), embed_dim=(embed_dim, within(1)), hidden=(hidden, within(1)),
        conductor=(conductor, within(1)), encoder_hidden=(encoder_hidden, within(0)), dropout=(dropout, FRACTION),
        word_dropout=(word_dropout, FRACTION),
    )  # fmt: skip
    num_tokens, num_bars = token_count(data_shape, levels), -(-data_shape[0] // bar)
    return Network(
        encoder=partial(sequence_encoder, num_tokens=num_tokens, embed_dim=embed_dim, hidden=encoder_hidden or hidden),
        decoder=lambda _, output_shape: HierarchicalDecoder(
            num_tokens, num_bars, bar, embed_dim, hidden, conductor, tuple(output_shape[1:]), dropout, word_dropout
        ),
        is_sequential=True,
    )
