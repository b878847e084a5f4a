"""Autoregressive distribution of sequences: each step is conditioned on the steps before it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints

from jaxvae.common.sequences import END, PADDING, is_present
from jaxvae.common.types import Array
from jaxvae.distributions.discretized import CategoricalLevels
from jaxvae.distributions.pixels import Bernoulli

Pick = Callable[[Any, Any], Array]  # (key, p(x_t | ...)) -> x_t


def draw_step(key: Any, step: Any) -> Array:
    """Sample p(x_t | ...)."""
    return step.sample(key)


def mode(step: Any) -> Array:
    """Mode of a step where it has a formula, else the mean; of a frame, that of each pitch."""
    if isinstance(step, Bernoulli):
        return jnp.where(jnp.asarray(step.logits) > 0, 1.0, 0.0)
    return step.mode if isinstance(step, CategoricalLevels) else step.mean  # the `mode` of NumPyro's base class raises


class Sequence(dist.Distribution):
    """P(x|z) = prod_t p(x_t | x_1 .. x_(t-1), z), of event shape `[T]` (tokens) or `[T, D]` (frames).

    Padding does not count: log_prob takes sequences of any length, and padding does not change its value. A sentence
    ends with the token END, after which only padding is drawn; frames are drawn to the last one.

    Attributes:
      variables: of the decoder, `{"params": tree}`.
      likelihood: parameters of p(x_t | ...) apart from the decoder's outputs.
      z: `[*batch, *latent_shape]`.
      context: `[*batch, C]`, or None.
      key: of the dropout of the decoder in training, or None for no dropout.
      decoder: pure functions, see `networks.Functions`.
      build: `(likelihood, outputs) -> p(x_t | ...)`.
      write: `(key, sequence) -> x`, the point estimate instead of a mean, which is not a sequence (`decoding`).
    """

    pytree_data_fields = ("variables", "likelihood", "z", "context", "key")
    pytree_aux_fields = ("decoder", "build", "write")

    def __init__(self, variables, likelihood, z, context, key, decoder, build, write, batch_shape, event_shape):
        self.variables, self.likelihood, self.z, self.context, self.key = variables, likelihood, z, context, key
        self.decoder, self.build, self.write = decoder, build, write
        super().__init__(tuple(batch_shape), tuple(event_shape))

    @property
    def support(self):
        return constraints.independent(constraints.real, self.event_dim)

    @property
    def is_text(self) -> bool:
        return self.event_dim == 1

    def log_prob(self, value):
        """Log-density in nats of `[..., T']` or `[..., T', D]` of any T'."""
        value = jnp.asarray(value)
        event = value.shape[value.ndim - self.event_dim :]
        batch = jnp.broadcast_shapes(self.batch_shape, value.shape[: value.ndim - self.event_dim])
        x = _flat(value, batch, self.event_dim)
        z, context = self.inputs(batch)
        context = () if context is None else (context,)
        outputs, _ = self.decoder.apply(self.variables, z, x, *context, key=self.key)
        steps = self.build(self.likelihood, outputs).log_prob(x)
        steps = steps if self.is_text else jnp.sum(steps, axis=-1)
        return jnp.sum(jnp.where(is_present(x, len(event)), steps, 0.0), axis=-1).reshape(batch)

    def sample(self, key: Any, sample_shape=(), pick: Pick = draw_step):
        """Sample `[*sample_shape, *batch, T, ...]`, each step by `pick`."""
        batch = (*sample_shape, *self.batch_shape)
        state = self.start(batch)
        num = len(jax.tree.leaves(state)[0])
        before = jnp.full((num, *self.event_shape[1:]), float(PADDING))

        def one(carry, key):
            state, before, ended = carry
            state, step = self.step(state, before)
            x = pick(key, step).astype(before.dtype)
            x = jnp.where(ended, PADDING, x) if self.is_text else x
            return (state, x, ended | (x == END) if self.is_text else ended), x

        carry = state, before, jnp.zeros(num, bool)
        x = jax.lax.scan(one, carry, jax.random.split(key, self.event_shape[0]))[1]
        return jnp.moveaxis(x, 0, 1).reshape(*batch, *self.event_shape)

    @property
    def mean(self):
        """Point estimate by `write`, the same at each call."""
        return self.write(jax.random.key(0), self)

    def start(self, batch):
        """State of the decoder before the first step, with `batch` flattened to one axis."""
        return self.decoder.start(self.variables, *self.inputs(batch))

    def step(self, state, before):
        """Map the previous step (-1: none) to the next state and p(x_t | ...)."""
        state, outputs = self.decoder.step(self.variables, state, before)
        return state, self.build(self.likelihood, outputs)

    def inputs(self, batch):
        """Broadcast z and context to `batch`, flattened to one axis."""
        z = _flat(self.z, batch, self.z.ndim - len(self.batch_shape))
        return z, None if self.context is None else _flat(self.context, batch, 1)


def _flat(array: Array, batch: tuple[int, ...], event_ndim: int) -> Array:
    event = array.shape[array.ndim - event_ndim :]
    return jnp.broadcast_to(array, (*batch, *event)).reshape(-1, *event)
