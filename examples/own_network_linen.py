"""An encoder and a decoder of Flax Linen modules, with batch normalisation and dropout.

jaxvae --config=vae --config.network=own_network_linen:normed --config.network.dropout=0.2    # from this folder
"""

import math

import flax.linen as nn
import jax

from jaxvae.networks import Network


class Dense(nn.Module):
    """One hidden layer, from inputs `[N, ...]` to outputs `[N, *out_shape]`."""

    hidden: int
    dropout: float
    out_shape: tuple[int, ...]

    @nn.compact
    def __call__(self, x: jax.Array, is_training: bool = False) -> jax.Array:
        x = nn.Dense(self.hidden)(x.reshape(len(x), -1))
        x = nn.BatchNorm(use_running_average=not is_training, momentum=0.9)(x)  # its averages are state, not parameters
        x = nn.Dropout(self.dropout, deterministic=not is_training)(nn.relu(x))
        return nn.Dense(math.prod(self.out_shape))(x).reshape(-1, *self.out_shape)


def normed(hidden: int = 128, dropout: float = 0.1) -> Network:
    """The network; its arguments are options of a config."""
    return Network(
        encoder=lambda data_shape, num_outputs: Dense(hidden, dropout, (num_outputs,)),
        decoder=lambda latent_shape, output_shape: Dense(hidden, dropout, output_shape),
    )
