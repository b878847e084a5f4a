"""Decoder without order: every step of a sequence has the same distribution, of z and the context alone."""

import math

import flax.linen as nn

from jaxvae.common.ranges import FRACTION, check, within
from jaxvae.common.types import Array
from jaxvae.networks.base import Network
from jaxvae.networks.recurrent import check_sequence, sequence_encoder, token_count
from jaxvae.networks.recurrent_cells import flat_latent


class BagOfWordsDecoder(nn.Module):
    """One affine map from z and the context to the outputs of each step, the same for all steps.

    Has the methods of `SequenceDecoder`.
    """

    outputs: tuple[int, ...]  # of one step

    def setup(self):
        self.head = nn.Dense(math.prod(self.outputs))

    def __call__(self, z: Array, x: Array, context: Array | None = None) -> Array:
        """Map z `[N, ...]` to `[N, 1, *outputs]`, which stand for all steps of x: one softmax for each example."""
        del x
        return self.start(z, context)[:, None]

    def start(self, z: Array, context: Array | None = None) -> Array:
        """Outputs `[N, *outputs]` of every step."""
        return self.head(flat_latent(z, context)).reshape(len(z), *self.outputs)

    def step(self, carry: Array, before: Array):
        """Return the outputs again, whatever the previous step was."""
        del before
        return carry, carry


def bag_of_words(
    data_shape: tuple[int, ...],
    levels: int,
    embed_dim: int = 128,
    encoder_hidden: int = 256,
    encoder_dropout: float = 0.0,
) -> Network:
    """Bidirectional LSTM encoder, and a decoder whose words are independent given z (arXiv:1511.06038, section 3).

    The neural variational document model; with the label in the context and without z, naive Bayes. All of a word's
    probability is that of z and the context, so that the label says more about a sentence than under an LSTM, which
    reads the words before.

    Args:
      data_shape: `(T,)` for tokens, `(T, D)` for frames.
      levels: size of the vocabulary of tokens.
      embed_dim: size of the encoder's embeddings.
      encoder_hidden: state size of the encoder, per direction.
      encoder_dropout: rate for embeddings and last states of the encoder, in training.

    Raises:
      UserError: a size below 1, a rate outside [0, 1), or data that is not sequences.
    """
    check_sequence("bag_of_words", data_shape)
    check(
        "network", "bag_of_words", embed_dim=(embed_dim, within(1)), encoder_hidden=(encoder_hidden, within(1)),
        encoder_dropout=(encoder_dropout, FRACTION),
    )  # fmt: skip
    sizes = token_count(data_shape, levels), embed_dim, encoder_hidden
    return Network(
        encoder=lambda shape, num_outputs: sequence_encoder(shape, num_outputs, *sizes, dropout=encoder_dropout),
        decoder=lambda _, output_shape: BagOfWordsDecoder(tuple(output_shape[1:])),
        is_sequential=True,
    )
