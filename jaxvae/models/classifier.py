"""A classifier q(y|x): a network of the kind of an encoder, whose outputs are logits of classes."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Params
from jaxvae.likelihoods import Likelihood
from jaxvae.models.coder import Coder, network_input
from jaxvae.networks import Network, functions

NAME = "classifier"


class Classifier(NamedTuple):
    """A classifier as pure functions.

    Attributes:
      init: `key -> params`.
      logits: `(params, x, mask=None, key=None) -> [..., C]` for x `[..., *data_shape]`; in training mode, with
        dropout, where a key is given.
      loops: see `Network`.
    """

    init: Callable[[Key], Params]
    logits: Callable[..., Array]
    loops: bool = True


def make_classifier(
    network: Network, likelihood: Likelihood, data_shape: tuple[int, ...], num_classes: int, mask_input: bool = False
) -> Classifier:
    """Build a classifier that reads x as an encoder does.

    Args:
      network: its encoder is built with `num_classes` outputs.
      likelihood: says how x is given to a network.
      data_shape: the shape of one example.
      num_classes: C.
      mask_input: whether it gets the mask of observed values beside x, whose missing values are 0.

    Raises:
      UserError: the network has state of its own, such as running statistics.
    """
    input_shape = likelihood.input_shape(data_shape, mask_input)
    coder = Coder(NAME, functions(network.encoder(input_shape, num_classes)), (input_shape,), (num_classes,))
    if jax.eval_shape(coder.init_state, jax.random.key(0)):
        raise UserError(
            "The network of the classifier has state of its own, such as running statistics, which the objective does "
            "not update. Take layer normalisation instead of batch normalisation."
        )

    def logits(params: Params, x: Array, mask: Array | None = None, key: Key | None = None) -> Array:
        return coder({NAME: params}, network_input(likelihood, x, mask, mask_input), None, key)[0]

    return Classifier(lambda key: coder.init(key).get("params", {}), logits, network.loops)
