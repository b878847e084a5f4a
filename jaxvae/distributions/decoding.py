"""Decode sequences from p(x|z): greedily, by sampling, or by beam search."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxvae.common.errors import UserError
from jaxvae.common.ranges import POSITIVE, check, within
from jaxvae.common.sequences import END, PADDING
from jaxvae.common.types import Array, Key
from jaxvae.distributions import Bernoulli, Sequence
from jaxvae.distributions.discretized import CategoricalLevels
from jaxvae.distributions.sequence import mode

Write = Callable[[Key, Sequence], Array]  # to `[*batch, T]` or `[*batch, T, D]`


def greedy() -> Write:
    """Decode the most likely value of each step, given the steps before."""
    return lambda key, sequence: sequence.sample(key, (), lambda _, step: mode(step))


def random(temperature: float = 1.0, top_k: int = 0) -> Write:
    """Sample each step, given the steps before.

    Args:
      temperature: divides the logits: below 1, likely values become more likely.
      top_k: where above 0, samples among the k most likely tokens (Fan et al. 2018, arXiv:1805.04833, section 5.3).

    Raises:
      UserError: a temperature that is not above 0, or a negative `top_k`; when decoding: steps without logits.
    """
    check("decoding", "random", temperature=(temperature, POSITIVE), top_k=(top_k, within(0)))
    return lambda key, sequence: sequence.sample(
        key, (), lambda key, step: sharpened(step, temperature, top_k).sample(key)
    )


def sharpened(step: Any, temperature: float, top_k: int) -> Any:
    """Divide the logits of p(x_t | ...) by the temperature, and keep the `top_k` most likely tokens."""
    if temperature == 1.0 and not top_k:
        return step
    if isinstance(step, Bernoulli) and not top_k:
        return Bernoulli(step.logits / temperature)
    if not isinstance(step, CategoricalLevels):
        raise UserError(
            "The decoding 'random' scales logits by `temperature` and drops tokens by `top_k`; the likelihood of a "
            "step must be 'categorical' for both, or 'bernoulli' for the first. Set them to 1 and 0."
        )
    logits = step.logits / temperature
    if top_k:
        likeliest = jax.lax.top_k(logits, min(top_k, logits.shape[-1]))[1]  # the first of equal ones
        kept = jnp.any(likeliest[..., None] == jnp.arange(logits.shape[-1]), axis=-2)
        logits = jnp.where(kept, logits, -jnp.inf)
    return CategoricalLevels(logits, step.low, step.high)


def beam(width: int = 5) -> Write:
    """Decode by beam search, which keeps the `width` most likely beginnings.

    Args:
      width: the number of beginnings, 1 or more.

    Raises:
      UserError: a width below 1; when decoding: data that is not text.
    """
    check("decoding", "beam", width=(width, within(1)))
    return lambda key, sequence: beam_search(sequence, width)


def beam_search(sequence: Sequence, width: int) -> Array:
    """Return the best of the `width` beams `[*batch, T]` by log p(x|z); with a width of V^T it is the mode.

    Raises:
      UserError: the data is not text.
    """
    if not sequence.is_text:
        raise UserError(
            "The decoding 'beam' searches among tokens, but this data is not text: take 'greedy' or 'random'."
        )
    length = sequence.event_shape[0]
    state = sequence.start(sequence.batch_shape)
    num = len(jax.tree.leaves(state)[0])

    def rows(tree, beams):  # the beams [num, width] of every leaf [num * width, ...]
        index = (jnp.arange(num)[:, None] * width + beams).reshape(-1)
        return jax.tree.map(lambda leaf: leaf[index], tree)

    state = jax.tree.map(lambda leaf: jnp.repeat(leaf, width, axis=0), state)
    scores = jnp.where(jnp.arange(width) == 0, 0.0, -jnp.inf) * jnp.ones((num, 1))  # all beams are equal at first
    x = jnp.full((num * width, length), float(PADDING))
    before, ended = x[:, 0], jnp.zeros(num * width, bool)

    def extend(t, carry):
        state, x, before, ended, scores = carry
        state, step = sequence.step(state, before)
        log_probs = jax.nn.log_softmax(step.logits)
        tokens = jnp.arange(log_probs.shape[-1])
        log_probs = jnp.where(ended[:, None], jnp.where(tokens == END, 0.0, -jnp.inf), log_probs)
        total = (scores[..., None] + log_probs.reshape(num, width, -1)).reshape(num, -1)
        scores, chosen = jax.lax.top_k(total, width)
        beams, token = chosen // len(tokens), (chosen % len(tokens)).reshape(-1)
        state, x, ended = rows((state, x, ended), beams)
        value = jnp.where(ended, PADDING, token).astype(x.dtype)
        return state, x.at[:, t].set(value), value, ended | (token == END), scores

    x = jax.lax.fori_loop(0, length, extend, (state, x, before, ended, scores))[1]
    return x.reshape(num, width, length)[:, 0].reshape(*sequence.batch_shape, length)


DECODINGS = {"greedy": greedy, "random": random, "beam": beam}
