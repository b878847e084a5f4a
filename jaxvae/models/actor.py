"""An actor: a model of codes that moves z to where a context is true, for draws with attributes."""

import math
from collections.abc import Sequence
from typing import Any

import jax

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key, Tree
from jaxvae.likelihoods import Likelihood
from jaxvae.models.base import Model
from jaxvae.models.vae import make_model
from jaxvae.networks import Functions, Network, functions
from jaxvae.posteriors import Posterior
from jaxvae.priors import Prior

STAYS = 2.0  # offset of the gates: a new actor moves z by about an eighth of what its network says


def make_actor(
    posterior: Posterior,
    prior: Prior,
    likelihood: Likelihood,
    network: Network,
    *,
    data_shape: tuple[int, ...],
    context_dim: int = 0,
    context_to: Sequence[str] = ("encoder", "decoder"),
) -> Model:
    """Build the model G(z, y) = (1 - g) z + g d, with gates g in (0, 1) and values d of a network (Engel et al. 2018,
    arXiv:1711.05772, section 2.2), for codes z of a trained model and attributes y, its context.

    Its own latent is z before the move, and its data z after it: the encoder is the identity, and the mean of p(x|z) is
    G(z, y). As a second stage on the trained model it decodes prior draws with attributes, and a code of an example
    with other attributes than its own.

    Args:
      posterior: "delta", of the shape of the codes.
      prior: p(z), that of the trained model.
      likelihood: of real values, whose mean is the output of the network.
      network: its decoder is the network of g and d.
      data_shape: the shape of a code.
      context_dim: C of the attributes.
      context_to: must hold "decoder".

    Raises:
      UserError: the data is not codes, the posterior is not a point, or has another shape than a code; no attributes.
    """
    if len(data_shape) != 1:
        raise UserError(
            f"An actor moves codes of a trained model, and examples of the shape {list(data_shape)} are none: set "
            "stage_of to the folder of its run."
        )
    if posterior.is_density or posterior.latent_shape != tuple(data_shape):
        raise UserError(
            f"An actor moves codes of the first stage, which are {list(data_shape)}: take model.posterior=delta and "
            f"model.latent_dim={math.prod(data_shape)}, not latents of {list(posterior.latent_shape)}."
        )
    if not context_dim or "decoder" not in context_to:
        raise UserError(
            "An actor moves codes to where attributes are true, and there are none: set data.context, to 'label' for "
            "example, and leave context.decoder at True."
        )
    gated = network._replace(encoder=lambda shape, num: _identity(), decoder=lambda *shapes: _gated(network, *shapes))
    model = make_model(
        posterior, prior, likelihood, gated, data_shape=data_shape, context_dim=context_dim, context_to=("decoder",)
    )
    return model._replace(latent=model.latent._replace(is_moved=True))


def _identity() -> Functions:
    def apply(variables: Any, x: Array, key: Key | None = None) -> tuple[Array, dict[str, Tree]]:
        del variables, key
        return x.reshape(len(x), -1), {}

    return Functions(lambda key, *inputs: {"params": {}}, apply, may_have_state=False)


def _gated(network: Network, latent_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> Functions:
    if math.prod(latent_shape) != math.prod(output_shape):
        raise UserError(
            f"An actor has one output for each of the {math.prod(latent_shape)} values of a code, but the likelihood "
            f"takes {math.prod(output_shape)}: take 'squared_error'."
        )
    inner = functions(network.decoder(latent_shape, (2, *latent_shape)))

    def apply(variables: Any, z: Array, *context: Array, key: Key | None = None) -> tuple[Array, dict[str, Tree]]:
        outputs, state = inner.apply(variables, z, *context, key=key)
        gates, values = jax.nn.sigmoid(outputs[:, 0] - STAYS), outputs[:, 1]
        return (z + gates * (values - z)).reshape(len(z), *output_shape), state

    return inner._replace(apply=apply)
