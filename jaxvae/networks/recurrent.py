"""LSTM networks for sequences: tokens `[T]` or frames `[T, D]`, padded at the end with -1."""

import math

import flax.linen as nn
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.ranges import FRACTION, check, within
from jaxvae.common.sequences import is_present
from jaxvae.common.types import Array
from jaxvae.networks.base import Network
from jaxvae.networks.recurrent_cells import LSTM, Carry, Embedding, as_carry, beside, drop, flat_latent, steps_before


class SequenceEncoder(nn.Module):
    """Bidirectional LSTM, and a dense layer from its two last states to the parameters of the posterior.

    With a "dropout" key, embeddings and last states are dropped with probability `dropout`.
    """

    event_ndim: int
    num_tokens: int
    embed_dim: int
    hidden: int
    num_outputs: int
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: Array, context: Array | None = None) -> Array:
        batch = x.shape[: x.ndim - self.event_ndim]
        x = x.reshape(-1, *x.shape[len(batch) :])
        present = is_present(x, self.event_ndim)
        vectors = drop(self, Embedding(self.num_tokens, self.embed_dim)(x), self.dropout)
        ends = []
        for reverse in (False, True):
            layer = LSTM(self.hidden)
            ends.append(layer(vectors, layer.zeros(len(x), vectors.dtype), present, reverse)[1][1])
        features = drop(self, jnp.concatenate(ends, axis=-1), self.dropout).reshape(*batch, -1)
        if context is not None:
            features = beside(features, context)
        return nn.Dense(self.num_outputs)(features)


class SequenceDecoder(nn.Module):
    """Autoregressive LSTM that is initialised from z, and reads z and the previous step at each step.

    Called with z and the whole sequence, it returns the outputs of all steps, each from the steps before it (teacher
    forcing); `start` and `step` compute them one by one. With a "dropout" key, previous steps are hidden with
    probability `word_dropout`, so that the decoder needs the latent (Bowman et al. 2016, arXiv:1511.06349, section
    3.1), and embeddings and outputs are dropped with probability `dropout`.
    """

    num_tokens: int
    embed_dim: int
    hidden: int
    outputs: tuple[int, ...]  # of one step
    dropout: float
    word_dropout: float
    use_latent: bool
    tied: bool

    def setup(self):
        self.embed, self.layer = Embedding(self.num_tokens, self.embed_dim), LSTM(self.hidden)
        self.of_latent = nn.Dense(2 * self.hidden)
        self.head = nn.Dense(self.embed_dim if self.tied else math.prod(self.outputs))
        if self.tied:
            self.bias = self.param("bias", nn.initializers.zeros, (self.num_tokens,))

    def __call__(self, z: Array, x: Array, context: Array | None = None) -> Array:
        """Map z `[N, ...]` and x `[N, T]` or `[N, T, D]` to `[N, T, *outputs]`."""
        z, (before, keep) = self._latent(z, context), steps_before(self, x, self.word_dropout)
        vectors = drop(self, self.embed(before, keep), self.dropout)
        return self._out(drop(self, self.layer(beside(vectors, z[:, None]), self._first(z))[0], self.dropout))

    def start(self, z: Array, context: Array | None = None):
        """Carry before the first step."""
        z = self._latent(z, context)
        return z, self._first(z)

    def step(self, carry, before: Array):
        """Map the previous step, `[N]` or `[N, D]` (-1: none), to the next carry and outputs `[N, *outputs]`."""
        z, state = carry
        state = self.layer.step(state, beside(self.embed(before), z))
        return (z, state), self._out(state[1])

    def _latent(self, z: Array, context: Array | None) -> Array:
        return flat_latent(z * self.use_latent, context)

    def _first(self, z: Array) -> Carry:
        return as_carry(self.of_latent(z))

    def _out(self, hidden: Array) -> Array:
        outputs = self.head(hidden)
        if self.tied:
            outputs = self.embed.attend(outputs) + self.bias
        return outputs.reshape(*hidden.shape[:-1], *self.outputs)


def lstm(
    data_shape: tuple[int, ...],
    levels: int,
    embed_dim: int = 128,
    hidden: int = 256,
    encoder_hidden: int = 0,
    encoder_dropout: float = 0.0,
    dropout: float = 0.0,
    word_dropout: float = 0.0,
    use_latent: bool = True,
    tied: bool = False,
) -> Network:
    """Bidirectional LSTM encoder and autoregressive LSTM decoder (arXiv:1511.06349).

    Args:
      data_shape: `(T,)` for tokens, `(T, D)` for frames.
      levels: size of the vocabulary of tokens.
      embed_dim: size of the embeddings of tokens or frames.
      hidden: state size of the decoder.
      encoder_hidden: state size of the encoder, per direction; 0 for `hidden`.
      encoder_dropout: rate for embeddings and last states of the encoder, in training.
      dropout: rate for embeddings and outputs of the decoder, in training.
      word_dropout: share of the previous steps hidden from the decoder, in training.
      use_latent: False for a plain language model, whose decoder does not see z.
      tied: whether input and output embeddings are tied (arXiv:1608.05859); for text only.

    Raises:
      UserError: a size below 1, a rate outside [0, 1), or data that is not sequences.
    """
    check_sequence("lstm", data_shape)
    check(
        "network", "lstm", embed_dim=(embed_dim, within(1)), hidden=(hidden, within(1)),
        encoder_hidden=(encoder_hidden, within(0)), encoder_dropout=(encoder_dropout, FRACTION),
        dropout=(dropout, FRACTION), word_dropout=(word_dropout, FRACTION),
    )  # fmt: skip
    if tied and len(data_shape) != 1:
        raise UserError("The network 'lstm' got tied=True, which is for tokens; set it to False for frames.")
    num_tokens = token_count(data_shape, levels)
    sizes = num_tokens, embed_dim, encoder_hidden or hidden
    return Network(
        encoder=lambda shape, num_outputs: sequence_encoder(shape, num_outputs, *sizes, dropout=encoder_dropout),
        decoder=lambda _, output_shape: SequenceDecoder(
            num_tokens, embed_dim, hidden, tuple(output_shape[1:]), dropout, word_dropout, use_latent, tied
        ),
        is_sequential=True,
    )


def token_count(data_shape: tuple[int, ...], levels: int) -> int:
    """Number of tokens; 0 for frames."""
    return levels if len(data_shape) == 1 else 0


def sequence_encoder(
    data_shape: tuple[int, ...], num_outputs: int, num_tokens: int, embed_dim: int, hidden: int, dropout: float = 0.0
) -> SequenceEncoder:
    """Build the encoder of every network for sequences."""
    return SequenceEncoder(len(data_shape), num_tokens, embed_dim, hidden, num_outputs, dropout)


def check_sequence(name: str, data_shape: tuple[int, ...]) -> None:
    """Raise UserError unless examples are tokens `[T]` or frames `[T, D]`."""
    if len(data_shape) not in (1, 2):
        raise UserError(
            f"The network '{name}' reads sequences, tokens [T] or frames [T, D], but the data has the shape "
            f"{data_shape}. Take the network 'mlp' or 'conv', or data.kind=text or music."
        )
