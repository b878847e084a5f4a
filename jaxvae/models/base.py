"""Define the contract of a model: pure functions of its parameters, facts about it, and its forward pass."""

from collections.abc import Callable
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Distribution, Key, Params, Tree
from jaxvae.distributions.kl import kl_by_group
from jaxvae.distributions.structure import observed_log_prob
from jaxvae.likelihoods import Likelihood
from jaxvae.models.facts import Batch, Data, Latent, State


class Training(NamedTuple):
    """Encoder and decoder in training mode, with regularising noise such as dropout.

    Attributes:
      encode: `(params, key, x, context=None, mask=None) -> (q(z|x), state)`, with `{"encoder": collections}` or `{}`.
      decode: `(params, key, z, context=None) -> (p(x|z), state)`, with `{"decoder": collections}` or `{}`.
    """

    encode: Callable[..., tuple[Distribution, Tree]]
    decode: Callable[..., tuple[Distribution, Tree]]


class Model(NamedTuple):
    """A variational autoencoder as pure functions of its parameters, with facts about its parts.

    Attributes:
      init: `key -> params`, `{part: tree}`.
      encode: `(params, x, context=None, mask=None) -> q(z|x)`; x `[..., *data_shape]`, batch shape `[...]`. Where the
        `mask` of x's shape is False, the value is missing and the encoder gets 0.
      decode: `(params, z, context=None) -> p(x|z)`; z `[..., *latent_shape]`, event shape `data_shape`.
      prior: `(params, context=None) -> p(z)`, event shape `latent_shape`.
      latent, data, likelihood: facts about z and about x, and the part p(x|z) with its facts.
      context_dim: C where the model is conditional on a context `[..., C]`, else 0; see `models.context.given`.
      mask_input: whether the encoder gets the mask of observed values beside x; ones where no mask is given.
      state: parameters that gradients do not own.
      penalty: `pass -> [B]`, the posterior's term of the loss (a commitment loss); None without one.
      metrics: `pass -> {name: [B] or []}`, metrics of the posterior.
      sweep: a custom forward pass, as `forward`; None for encode, draw, decode.
      training: the networks in training mode; None where it equals evaluation mode.
      noise_dim, fit_prior: see `Prior`; `fit_prior` is None where the prior cannot be fitted to codes.
      loops, last_layer: see `Network.loops`; and that of the decoder, see `networks.Functions`.
      stages: of a model of codes, the models of x and of its codes, see `models.two_stage`; else ().
    """

    init: Callable[..., Params]
    encode: Callable[..., Distribution]
    decode: Callable[..., Distribution]
    prior: Callable[..., Distribution]
    latent: Latent
    data: Data
    likelihood: Likelihood
    context_dim: int = 0
    mask_input: bool = False
    state: State = State()
    penalty: Callable[["Pass"], Array] | None = None
    metrics: Callable[["Pass"], dict[str, Array]] = lambda out: {}
    sweep: Callable[..., "Pass"] | None = None
    training: Training | None = None
    noise_dim: int = 0
    fit_prior: Callable[..., Params] | None = None
    loops: bool = True
    last_layer: str = ""
    stages: tuple["Model", ...] = ()

    @property
    def data_shape(self) -> tuple[int, ...]:
        """Return the shape of one example."""
        return self.data.shape

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Return the shape of one z."""
        return self.latent.shape

    @property
    def has_likelihood(self) -> bool:
        """Return whether log p(x) has bounds: q(z|x) and p(x|z) are densities or mass functions."""
        return self.latent.is_density and self.likelihood.is_density

    def forward(
        self, params: Params, key: Key, batch: Batch, num_samples: int = 1, is_training: bool = False
    ) -> "Pass":
        """Encode a batch, draw `num_samples` latents for each example, and decode them.

        Args:
          params: the model's parameters.
          key: for the draws, and for the networks' noise where `is_training`.
          batch: "x" `[B, *data_shape]`; "context" `[B, C]` of a conditional model; "mask" where values are missing.
          num_samples: K.
          is_training: whether networks run in training mode: with dropout, normalised by the batch.

        Raises:
          AssertionError: x is not `[B, *data_shape]`, or the mask has another shape.
          UserError: a conditional model without context, or a mask with a likelihood that is not a product over values.
        """
        if self.sweep is not None:
            return self.sweep(params, key, batch, num_samples=num_samples, is_training=is_training)
        chex.assert_shape(batch["x"], (None, *self.data.given_shape))
        chex.assert_equal_shape([batch["x"], batch.get("mask", batch["x"])])
        noise = key if is_training else None
        posterior, state = encoded(self, params, batch, noise)
        out = decoded(self, params, batch, posterior, draw(key, posterior, num_samples), noise)
        chex.assert_shape([out.log_likelihood, out.log_prior, out.log_posterior], (num_samples, len(batch["x"])))
        return out._replace(state={**state, **out.state})


class Pass(NamedTuple):
    """Result of a forward pass: distributions, latents and log-densities, from which objectives compute losses.

    Attributes:
      posterior: q(z|x).
      prior: p(z).
      likelihood: p(x|z).
      batch: the encoded batch.
      z: `[K, B, *latent_shape]`.
      log_likelihood: log p(x|z), `[K, B]` nats, summed over the observed data.
      log_prior: log p(z), `[K, B]` nats.
      log_posterior: log q(z|x), `[K, B]` nats.
      state: state of the networks after this pass, `{network: collections}`; `{}` in evaluation.
    `jit` removes terms that an objective does not use.
    """

    posterior: Any
    prior: Any
    likelihood: Any
    batch: Batch
    z: Array
    log_likelihood: Array
    log_prior: Array
    log_posterior: Array
    state: dict[str, Tree] = {}  # noqa: RUF012 (never changed)

    @property
    def x(self) -> Array:
        """Return x `[B, *data_shape]`."""
        return self.batch["x"]

    @property
    def context(self) -> Array | None:
        """Return the context `[B, C]`, or None."""
        return self.batch.get("context")

    def kl(self) -> Array:
        """Compute KL(q(z|x) || p(z)) in closed form, `[L, B]` nats: by latent variable if independent, else L = 1.

        Raises:
          UserError: no closed form is known for this pair.
        """
        return kl_by_group(self.posterior, self.prior)


def context_args(context: Array | None) -> tuple[Array, ...]:
    """Return the context as positional arguments, none for a model without context."""
    return () if context is None else (context,)


def encode_batch(model: Model, params: Params, batch: Batch) -> Distribution:
    """Compute q(z|x) of a batch, with its context and its mask if present."""
    return encoded(model, params, batch)[0]


def encoded(model: Model, params: Params, batch: Batch, key: Key | None = None) -> tuple[Distribution, Tree]:
    """Run the encoder: q(z|x) and the encoder's next state; in training mode if a key is given."""
    inputs = batch["x"], *context_args(batch.get("context"))
    masked = {"mask": batch["mask"]} if "mask" in batch else {}
    if model.training is None or key is None:
        return model.encode(params, *inputs, **masked), {}
    return model.training.encode(params, encoder_key(key), *inputs, **masked)


def decoded(model: Model, params: Params, batch: Batch, q: Any, draws: tuple[Array, Array], key: Key | None) -> "Pass":
    """Run prior and decoder on draws of q(z|x): z `[K, B, *latent_shape]` and log q(z|x) `[K, B]`."""
    context = context_args(batch.get("context"))
    if model.training is None or key is None:
        likelihood, state = model.decode(params, draws[0], *context), {}
    else:
        likelihood, state = model.training.decode(params, noise_key(key), draws[0], *context)
    prior: Any = model.prior(params, *context)
    terms = observed_log_prob(likelihood, batch["x"], batch.get("mask")), prior.log_prob(draws[0]), draws[1]
    return Pass(q, prior, likelihood, batch, draws[0], *terms, state)


def require_context(context_dim: int, context: Array | None) -> None:
    """Raise UserError where a conditional model lacks its context, or another model is given one."""
    if context is None and context_dim:
        raise UserError(
            f"This model is conditional on a context of {context_dim} values, and none was given: pass `context`, or "
            "take the model at one context, `given(model, context)`."
        )
    if context is not None and context.shape[-1] != context_dim:
        raise UserError(
            f"A context of {context.shape[-1]} values was given, but the model takes "
            f"{f'{context_dim} values' if context_dim else 'no context'}: see `context_dim` of `make_model`."
        )


def with_state(params: Params, state: Tree) -> Params:
    """Merge a model's parameters with the state that gradients do not own, by part."""
    return {part: {**params.get(part, {}), **state.get(part, {})} for part in {**params, **state}}


def reparameterize(key: Key, posterior: Distribution, num_samples: int | None = None) -> Array:
    """Draw z ~ posterior as a differentiable function of its parameters and `key` (arXiv:1312.6114, section 2.4).

    It is `[*batch, *latent_shape]`, or `[num_samples, *batch, *latent_shape]` where `num_samples` is given.
    """
    z: Any = posterior.rsample(key, () if num_samples is None else (num_samples,))
    return z


def draw(key: Key, posterior: Any, num_samples: int, exact: bool = False) -> tuple[Array, Array]:
    """Draw `num_samples` latents `[K, B, *latent_shape]`, with their log q(z|x) `[K, B]` nats.

    For flows the density at their own draws is cheaper than at any z. With `exact`, z is drawn from q itself even where
    training decodes a relaxation of it.
    """
    if hasattr(posterior, "sample_and_log_prob"):
        return posterior.sample_and_log_prob(key, (num_samples,))
    z = posterior.sample(key, (num_samples,)) if exact else reparameterize(key, posterior, num_samples)
    return z, posterior.log_prob(z)


def centre(posterior: Any) -> Array:
    """Return the point estimate `[*batch, *latent_shape]` of z: the mean of q(z|x), or its centre."""
    return posterior.centre if hasattr(posterior, "centre") else posterior.mean


def noise_key(key: Key) -> Key:
    """Derive a key for the decoder's noise, independent of the splits of `key`."""
    return jax.random.fold_in(key, 2**31 - 1)  # a number that `split` does not reach


def encoder_key(key: Key) -> Key:
    """Derive a key for the encoder's noise, independent of the decoder's."""
    return jax.random.fold_in(key, 2**31 - 2)


def example_batch(model: Model, size: int) -> Batch:
    """Return a batch of zeros with the model's shapes, for tracing."""
    shape = size, *model.data_shape
    beside = {"context": jnp.zeros((size, model.context_dim))} if model.context_dim else {}
    beside |= {"mask": jnp.ones(shape, bool)} if model.mask_input else {}
    return {"x": jnp.zeros(shape), "label": jnp.zeros(size, jnp.int32), **beside}
