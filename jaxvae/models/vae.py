"""A model is pure functions made from posterior, prior, likelihood and network."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Distribution, Key, Params, Tree
from jaxvae.distributions import Coded, Sequence, Shaped
from jaxvae.distributions.decoding import Write, greedy
from jaxvae.likelihoods import Likelihood
from jaxvae.networks import Network
from jaxvae.posteriors import EUCLIDEAN, Posterior
from jaxvae.priors import Prior, fits


class Model(NamedTuple):
    """A variational autoencoder as pure functions of its parameters.

    Attributes:
      init: `(key, context=None) -> params`; `context` is an example of the one given later.
      encode: `(params, x, context=None) -> q(z|x)`; x `[..., *data_shape]`, batch shape `[...]`.
      decode: `(params, z, context=None, key=None) -> p(x|z)`; z `[..., *latent_shape]`, event shape `data_shape`. The
        key is that of the noise that regularises a decoder in training; without it there is no noise.
      prior: `(params) -> p(z)`, event shape `latent_shape`.
      data_shape: the shape of one example, without the batch; of sequences the longest.
      latent_shape: the shape of one z, `(latent_dim,)` for most.
      posterior: the part; it says what kind of latent this is.
      likelihood: the part.
      has_likelihood: whether bounds on log p(x) mean something: q(z|x) and p(x|z) are densities or mass functions.
      is_sequential: whether the data is sequences, which the decoder writes step by step.
      loops: whether XLA on CPU trains the networks well inside `lax.scan`.
    """

    init: Callable[..., Params]
    encode: Callable[..., Distribution]
    decode: Callable[..., Distribution]
    prior: Callable[[Params], Distribution]
    data_shape: tuple[int, ...]
    latent_shape: tuple[int, ...]
    posterior: Posterior
    likelihood: Likelihood
    has_likelihood: bool
    is_sequential: bool = False
    loops: bool = True

    @property
    def given_shape(self) -> tuple[int | None, ...]:
        """What each example is checked against: sequences can have any length."""
        return _given_shape(self.data_shape, self.is_sequential)


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


def _given_shape(data_shape: tuple[int, ...], is_sequential: bool) -> tuple[int | None, ...]:
    return (None, *data_shape[1:]) if is_sequential else data_shape


def with_state(params: Params, state: Tree) -> Params:
    """A model's parameters together with the state that gradients do not own (a codebook), by part."""
    return {part: {**params.get(part, {}), **state.get(part, {})} for part in {**params, **state}}


def reparameterize(key: Key, posterior: Distribution, num_samples: int | None = None) -> Array:
    """Z ~ posterior as a differentiable function of the posterior's parameters and `key`.

    Returns:
      `[*batch, *latent_shape]`, or `[num_samples, *batch, *latent_shape]` where `num_samples` is given
      (arXiv:1312.6114, section 2.4).
    """
    z: Any = posterior.rsample(key, () if num_samples is None else (num_samples,))
    return z


def draw(key: Key, posterior: Any, num_samples: int, exact: bool = False) -> tuple[Array, Array]:
    """`num_samples` latents and their log q(z|x), `[K, B, *latent_shape]` and `[K, B]` nats.

    Flows know the density of what they have just drawn, which is cheaper than asking for that of any z. With `exact`
    z is drawn from q itself even where training decodes a relaxation of it.
    """
    if hasattr(posterior, "sample_and_log_prob"):
        return posterior.sample_and_log_prob(key, (num_samples,))
    z = posterior.sample(key, (num_samples,)) if exact else reparameterize(key, posterior, num_samples)
    return z, posterior.log_prob(z)


def centre(posterior: Any) -> Array:
    """The one z `[*batch, *latent_shape]` that stands for q(z|x).

    Its mean, or what it names its centre where the mean is no latent: on a sphere, among codes.
    """
    return posterior.centre if hasattr(posterior, "centre") else posterior.mean


class Pass(NamedTuple):
    """One way through the model: the objects and the terms that every objective is arithmetic on.

    `log_likelihood` is log p(x|z), `log_prior` log p(z), `log_posterior` log q(z|x): each `[K, B]` in nats, summed
    over data and latent dimensions. What an objective does not use, `jit` removes.
    """

    posterior: Any
    prior: Any
    likelihood: Any
    z: Array
    log_likelihood: Array
    log_prior: Array
    log_posterior: Array


def forward(
    model: Model,
    params: Params,
    key: Key,
    x: Array,
    num_samples: int = 1,
    context: Array | None = None,
    is_training: bool = False,
) -> Pass:
    """Encodes x `[B, *data_shape]`, draws `num_samples` latents for each example, decodes them.

    Where `is_training`, with the noise that regularises the decoder, if it has any.
    """
    chex.assert_shape(x, (None, *model.given_shape))
    posterior = model.encode(params, x, context)
    z, log_posterior = draw(key, posterior, num_samples)
    prior, likelihood = model.prior(params), model.decode(params, z, context, **noise(model, key, is_training))
    terms: Any = likelihood.log_prob(x), prior.log_prob(z), log_posterior
    chex.assert_shape(terms, (num_samples, x.shape[0]))
    return Pass(posterior, prior, likelihood, z, *terms)


def noise(model: Model, key: Key, is_training: bool) -> dict[str, Key]:
    """The further argument of `model.decode`: the key of a decoder's own noise, beside that of z."""
    if not is_training or not model.is_sequential:
        return {}
    return {"key": noise_key(key)}


def noise_key(key: Key) -> Key:
    """A key beside those that `key` is split into."""
    return jax.random.fold_in(key, 2**31 - 1)  # no number that `split` would reach


def draw_prior(model: Model, params: Params, key: Key, num: int, temperature: float | Array = 1.0) -> Array:
    """Z ~ p(z), `[num, *latent_shape]`; in R^n `temperature` scales it about the prior's mean (a flow's centre)."""
    prior: Any = model.prior(params)
    z = prior.sample(key, (num,))
    return prior.mean + temperature * (z - prior.mean) if model.posterior.space == EUCLIDEAN else z


def sample(model: Model, params: Params, key: Key, num: int, temperature: float = 1.0) -> Array:
    """New data: the mean of p(x|z), `[num, *data_shape]`, for z drawn from the prior; sequences as they are written.

    `temperature` scales z about the prior's mean: below 1 gives safer, less varied samples.

    Raises:
      UserError: a temperature other than 1 where the latent space knows no scaling.
    """
    if model.posterior.space != EUCLIDEAN and temperature != 1.0:
        raise UserError(f"sample.temperature is {temperature}, but latents in {model.posterior.space} take only 1.")
    return written(key, model.decode(params, draw_prior(model, params, key, num, temperature)))


def written(key: Key, likelihood: Any) -> Array:
    """What is shown of p(x|z): its mean, or sequences as the model writes them, by chance with this key."""
    return likelihood.write(noise_key(key), likelihood) if isinstance(likelihood, Sequence) else likelihood.mean


def reconstruct(model: Model, params: Params, x: Array, key: Key | None = None) -> Array:
    """The mean of p(x|z), `[B, *data_shape]`; z is the posterior's mean, or a draw from it where a key is given."""
    posterior = model.encode(params, x)
    z = centre(posterior) if key is None else reparameterize(key, posterior)
    return model.decode(params, z).mean
