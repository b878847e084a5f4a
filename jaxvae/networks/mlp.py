"""Fully connected networks."""

import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax.numpy as jnp

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.types import Array
from jaxvae.networks.base import Network, check_widths

ACTIVATIONS = {
    "relu": nn.relu,
    "tanh": nn.tanh,
    "gelu": nn.gelu,
    "silu": nn.silu,
    "elu": nn.elu,
    "softplus": nn.softplus,
    "leaky_relu": lambda x: nn.leaky_relu(x, 0.2),
}
# A third of Glorot's variance in one hidden layer and a tenth in the last one, so that a new model starts near the
# prior and near grey: with relu, MNIST ends at a lower loss than with Flax's default. Several layers of such weights
# would let nearly nothing through; with theirs relu keeps the size of what passes (He et al. 2015, arXiv:1502.01852).
HIDDEN_SCALE, OUTPUT_SCALE = 1 / 3, 1 / 10
DEEP_SCALE = 2.0
KEEPING = {"tanh": 1.0}  # activations that need another scale for it than `DEEP_SCALE`


def initializer(scale: float) -> Callable[..., Array]:
    """Initialise weights uniformly with `scale` times Glorot's variance."""
    return nn.initializers.variance_scaling(scale, "fan_avg", "uniform")


HIDDEN_INIT, OUTPUT_INIT = initializer(HIDDEN_SCALE), initializer(OUTPUT_SCALE)


class MLP(nn.Module):
    """Dense layers over the last `len(input_shape)` axes, flattened; the output is reshaped to `output_shape`."""

    input_shape: tuple[int, ...]
    hidden: tuple[int, ...]
    output_shape: tuple[int, ...]
    activation: Callable[[Array], Array]
    hidden_scale: float = HIDDEN_SCALE
    output_scale: float = OUTPUT_SCALE

    @property
    def last_layer(self) -> str:
        """Return the name of the parameters of the last layer."""
        return f"Dense_{len(self.hidden)}"

    @nn.compact
    def __call__(self, x: Array, context: Array | None = None) -> Array:
        batch_shape = x.shape[: x.ndim - len(self.input_shape)]
        x = x.reshape(*batch_shape, math.prod(self.input_shape))
        if context is not None:
            x = jnp.concatenate([x, jnp.broadcast_to(context, (*batch_shape, context.shape[-1]))], axis=-1)
        x = x.reshape(-1, x.shape[-1])  # with more than one batch axis XLA on CPU would transpose before each product
        for width in self.hidden:
            x = self.activation(nn.Dense(width, kernel_init=initializer(self.hidden_scale))(x))
            self.sow("intermediates", "features", x)
        x = nn.Dense(math.prod(self.output_shape), kernel_init=initializer(self.output_scale))(x)
        return x.reshape(*batch_shape, *self.output_shape)


def mlp(
    hidden: Sequence[int] = (400,),
    activation: str = "relu",
    hidden_scale: float = 0.0,
    output_scale: float = OUTPUT_SCALE,
) -> Network:
    """Fully connected networks; the decoder mirrors the encoder's `hidden` widths.

    Args:
      hidden: widths of the encoder.
      activation: of the hidden layers: relu, tanh, gelu, silu, elu, softplus or leaky_relu.
      hidden_scale: variance of the initial weights of hidden layers, in units of Glorot's; 0 for a third with one
        hidden layer, and with several 2, or 1 for tanh.
      output_scale: variance of the initial weights of the last layer, in units of Glorot's.

    Raises:
      UserError: a width or a scale out of range, or an unknown activation.
    """
    if not hidden_scale >= 0:
        raise UserError(f"The network got hidden_scale={hidden_scale}; it must be above 0, or 0 for that of its depth.")
    if not output_scale > 0:
        raise UserError(f"The network got output_scale={output_scale}; it must be above 0.")
    check_widths(hidden=hidden)
    if activation not in ACTIVATIONS:
        raise unknown("activation", activation, ACTIVATIONS)
    hidden = tuple(hidden)
    if not hidden_scale:
        hidden_scale = HIDDEN_SCALE if len(hidden) < 2 else KEEPING.get(activation, DEEP_SCALE)
    rest = ACTIVATIONS[activation], hidden_scale, output_scale
    return Network(
        encoder=lambda data_shape, num_outputs: MLP(data_shape, hidden, (num_outputs,), *rest),
        decoder=lambda latent_shape, output_shape: MLP(latent_shape, hidden[::-1], output_shape, *rest),
    )
