"""What a model is: pure functions of its parameters, and one pass through them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax

from jaxvae.common.types import Array, Distribution, Key, Params, Tree
from jaxvae.likelihoods import Likelihood
from jaxvae.posteriors import Posterior


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
