"""A model is four pure functions made from posterior, prior, likelihood and network."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxvae.distributions import Shaped
from jaxvae.errors import UserError
from jaxvae.likelihoods import Likelihood
from jaxvae.networks import Network
from jaxvae.posteriors import Posterior
from jaxvae.priors import Prior
from jaxvae.types import Array, Distribution, Key, Params


class Model(NamedTuple):
    """A variational autoencoder as pure functions of its parameters.

    Attributes:
      init: `(key, context=None) -> params`; `context` is an example of the one given later.
      encode: `(params, x, context=None) -> q(z|x)`; x `[..., *data_shape]`, batch shape `[...]`.
      decode: `(params, z, context=None) -> p(x|z)`; z `[..., latent_dim]`, event shape `data_shape`.
      prior: `(params) -> p(z)`, event shape `[latent_dim]`.
      data_shape: the shape of one example, without the batch.
      latent_dim: the length of z.
      has_posterior_density: whether q(z|x) is a density, so that its KL to the prior is finite.
      has_likelihood: whether bounds on log p(x) mean something: both q(z|x) and p(x|z) are densities.
    """

    init: Callable[..., Params]
    encode: Callable[..., Distribution]
    decode: Callable[..., Distribution]
    prior: Callable[[Params], Distribution]
    data_shape: tuple[int, ...]
    latent_dim: int
    has_posterior_density: bool
    has_likelihood: bool


def make_model(
    posterior: Posterior,
    prior: Prior,
    likelihood: Likelihood,
    network: Network,
    *,
    data_shape: tuple[int, ...],
    latent_dim: int,
) -> Model:
    """Puts the parts together; sizes the network to the data.

    Raises:
      UserError: `latent_dim` is below 1.
    """
    if latent_dim < 1:
        raise UserError(f"model.latent_dim is {latent_dim}; a latent space needs at least 1 dimension.")
    per_value = likelihood.outputs_per_value
    encoder = network.encoder(data_shape, posterior.num_outputs)
    decoder = network.decoder(data_shape if per_value == 1 else (*data_shape, per_value))

    def init(key: Key, context: Array | None = None) -> Params:
        encoder_key, decoder_key, posterior_key, prior_key, likelihood_key = jax.random.split(key, 5)
        batch = () if context is None else context.shape[:-1]
        params = {
            "encoder": encoder.init(encoder_key, jnp.zeros((*batch, *data_shape)), context)["params"],
            "decoder": decoder.init(decoder_key, jnp.zeros((*batch, latent_dim)), context)["params"],
            "posterior": posterior.init(posterior_key),
            "prior": prior.init(prior_key),
            "likelihood": likelihood.init(likelihood_key),
        }
        return {name: value for name, value in params.items() if jax.tree.leaves(value)}

    def encode(params: Params, x: Array, context: Array | None = None) -> Distribution:
        chex.assert_shape(x, (..., *data_shape))
        outputs: Any = encoder.apply({"params": params["encoder"]}, x, context)
        return posterior.build(params.get("posterior", {}), outputs)

    def decode(params: Params, z: Array, context: Array | None = None) -> Distribution:
        chex.assert_shape(z, (..., latent_dim))
        outputs: Any = decoder.apply({"params": params["decoder"]}, z, context)
        flat = outputs.reshape(*z.shape[:-1], math.prod(data_shape), *(() if per_value == 1 else (per_value,)))
        return Shaped(likelihood.build(params.get("likelihood", {}), flat), data_shape)

    return Model(
        init=init,
        encode=encode,
        decode=decode,
        prior=lambda params: prior.build(params.get("prior", {})),
        data_shape=tuple(data_shape),
        latent_dim=latent_dim,
        has_posterior_density=posterior.is_density,
        has_likelihood=posterior.is_density and likelihood.is_density,
    )


def reparameterize(key: Key, posterior: Distribution, num_samples: int | None = None) -> Array:
    """Z ~ posterior as a differentiable function of the posterior's parameters and `key`.

    Returns:
      `[*batch, latent_dim]`, or `[num_samples, *batch, latent_dim]` where `num_samples` is given
      (arXiv:1312.6114, section 2.4).
    """
    z: Any = posterior.rsample(key, () if num_samples is None else (num_samples,))
    return z


class Pass(NamedTuple):
    """One way through the model: the objects and the terms that every objective is arithmetic on.

    `log_likelihood` is log p(x|z), `log_prior` log p(z), `log_posterior` log q(z|x): each `[K, B]` in nats, summed
    over data and latent dimensions. What an objective does not use, `jit` removes.
    """

    posterior: Distribution
    prior: Distribution
    likelihood: Distribution
    z: Array
    log_likelihood: Array
    log_prior: Array
    log_posterior: Array


def forward(
    model: Model, params: Params, key: Key, x: Array, num_samples: int = 1, context: Array | None = None
) -> Pass:
    """Encodes x `[B, *data_shape]`, draws `num_samples` latents for each example, decodes them."""
    chex.assert_shape(x, (None, *model.data_shape))
    posterior = model.encode(params, x, context)
    z = reparameterize(key, posterior, num_samples)
    prior, likelihood = model.prior(params), model.decode(params, z, context)
    terms: Any = likelihood.log_prob(x), prior.log_prob(z), posterior.log_prob(z)
    chex.assert_shape(terms, (num_samples, x.shape[0]))
    return Pass(posterior, prior, likelihood, z, *terms)


def analytic_kl(posterior: Distribution, prior: Distribution) -> Array:
    """KL(q(z|x) || p(z)) in closed form, `[B]` nats summed over latent dimensions.

    Raises:
      UserError: no closed form is known for this pair.
    """
    pair: Any = [d.base_dist if isinstance(d, dist.Independent) else d for d in (posterior, prior)]
    if all(isinstance(d, dist.Normal) for d in pair):
        q, p = pair
        # NumPyro squares the scale, whose gradient is NaN from a variance of e^-87 on.
        log_ratio = jnp.log(q.scale) - jnp.log(p.scale)
        kl = 0.5 * (jnp.square((q.loc - p.loc) / p.scale) + jnp.expm1(2 * log_ratio)) - log_ratio
        return jnp.sum(kl, axis=tuple(range(-len(posterior.event_shape), 0)))
    try:
        return dist.kl_divergence(posterior, prior)
    except NotImplementedError as error:
        raise UserError(f"No closed form is known for this posterior and prior: {error}") from error


def sample(model: Model, params: Params, key: Key, num: int, temperature: float = 1.0) -> Array:
    """New data: the mean of p(x|z), `[num, *data_shape]`, for z drawn from the prior.

    `temperature` scales z about the prior's mean: below 1 gives safer, less varied samples.
    """
    prior = model.prior(params)
    z = prior.mean + temperature * (prior.sample(key, (num,)) - prior.mean)
    return model.decode(params, z).mean


def reconstruct(model: Model, params: Params, x: Array, key: Key | None = None) -> Array:
    """The mean of p(x|z), `[B, *data_shape]`; z is the posterior's mean, or a draw from it where a key is given."""
    posterior = model.encode(params, x)
    z = posterior.mean if key is None else reparameterize(key, posterior)
    return model.decode(params, z).mean
