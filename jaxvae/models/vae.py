"""A model is pure functions made from posterior, prior, likelihood and network."""

import math
from typing import Any

import chex
import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Distribution, Key, Params
from jaxvae.distributions import Coded, Sequence, Shaped
from jaxvae.distributions.decoding import Write, greedy
from jaxvae.distributions.spaces import CODES
from jaxvae.likelihoods import Likelihood
from jaxvae.models.base import Model, _given_shape
from jaxvae.networks import Network
from jaxvae.posteriors import Posterior
from jaxvae.priors import Prior
from jaxvae.priors.base import ANY


def make_model(
    posterior: Posterior,
    prior: Prior,
    likelihood: Likelihood,
    network: Network,
    *,
    data_shape: tuple[int, ...],
    write: Write | None = None,
) -> Model:
    """Puts the parts together; sizes the network to the data. `write` says how sequences are written, greedily if not.

    Raises:
      UserError: prior and posterior are about different spaces.
    """
    if not fits(prior, posterior):
        raise UserError(f"The prior's latents live in {prior.space}, the posterior's in {posterior.space}.")
    per_value, num_values = likelihood.outputs_per_value, math.prod(data_shape)
    encoder = network.encoder(data_shape, posterior.num_outputs)
    decoder = network.decoder(posterior.latent_shape, data_shape if per_value == 1 else (*data_shape, per_value))
    given_shape = _given_shape(data_shape, network.is_sequential)
    write = write or greedy()

    def init(key: Key, context: Array | None = None) -> Params:
        encoder_key, decoder_key, posterior_key, prior_key, likelihood_key = jax.random.split(key, 5)
        batch = () if context is None else context.shape[:-1]
        params = {
            "encoder": encoder.init(encoder_key, jnp.zeros((*batch, *data_shape)), context)["params"],
            "decoder": decoder.init(decoder_key, *decoder_inputs(batch, context))["params"],
            "posterior": posterior.init(posterior_key),
            "prior": prior.init(prior_key),
            "likelihood": likelihood.init(likelihood_key),
        }
        return {name: value for name, value in params.items() if jax.tree.leaves(value)}

    def decoder_inputs(batch: tuple[int, ...], context: Array | None) -> tuple[Array | None, ...]:
        if not network.is_sequential:
            return jnp.zeros((*batch, *posterior.latent_shape)), context
        num = math.prod(batch)
        flat = None if context is None else context.reshape(num, -1)
        return jnp.zeros((num, *posterior.latent_shape)), jnp.zeros((num, *data_shape)), flat

    def encode(params: Params, x: Array, context: Array | None = None) -> Distribution:
        chex.assert_shape(x, (..., *given_shape))
        outputs: Any = encoder.apply({"params": params["encoder"]}, likelihood.encoder_input(x), context)
        log_joint = jax.tree_util.Partial(joint, params, x, context)  # a pytree: distributions are
        return posterior.build(params.get("posterior", {}), outputs, log_joint)

    def decode(params: Params, z: Array, context: Array | None = None, key: Key | None = None) -> Distribution:
        chex.assert_shape(z, (..., *posterior.latent_shape))
        batch = z.shape[: z.ndim - len(posterior.latent_shape)]
        if network.is_sequential:
            own = params["decoder"], params.get("likelihood", {})
            return Sequence(*own, z, context, key, decoder, likelihood.build, write, batch, data_shape)
        outputs: Any = decoder.apply({"params": params["decoder"]}, z, context)
        flat = outputs.reshape(*batch, num_values, *(() if per_value == 1 else (per_value,)))
        return Shaped(likelihood.build(params.get("likelihood", {}), flat), data_shape)

    def make_prior(params: Params) -> Distribution:
        built = prior.build(params.get("prior", {}), lambda x: encode(params, x))
        return built if posterior.codebook is None else Coded(built, posterior.codebook(params.get("posterior", {})))

    def joint(params: Params, x: Array, context: Array | None, z: Array) -> Array:
        log_probs: Any = decode(params, z, context).log_prob(x), make_prior(params).log_prob(z)
        return log_probs[0] + log_probs[1]

    return Model(
        init=init,
        encode=encode,
        decode=decode,
        prior=make_prior,
        data_shape=tuple(data_shape),
        latent_shape=posterior.latent_shape,
        posterior=posterior,
        likelihood=likelihood,
        has_likelihood=posterior.is_density and likelihood.is_density,
        is_sequential=network.is_sequential,
        loops=network.loops,
    )


def fits(prior: Prior, posterior: Posterior) -> bool:
    """Whether both are about the same space."""
    return prior.space == posterior.space or (prior.space == ANY and posterior.space != CODES)
