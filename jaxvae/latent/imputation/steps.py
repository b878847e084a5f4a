"""Steps of a chain of (z, x_missing): pseudo-Gibbs and Metropolis-within-Gibbs."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxvae.common.types import Array, Key, Params
from jaxvae.models.base import Model, context_args
from jaxvae.models.sampling import from_prior

Step = Callable[[Any, Key], tuple[Any, tuple[Array, Array]]]


def make_chain(
    model: Model, params: Params, x: Array, observed: Array, context: Array | None = None
) -> tuple[Callable, Step, Step]:
    """Return `start(key) -> (x, z)` and both steps `((x, z), key) -> (x, z), (decoder's mean, accepted)`."""
    given = context_args(context)
    prior: Any = model.prior(params, *given)
    seen = {"mask": observed} if model.mask_input else {}  # such a posterior was trained on incomplete x

    def start(key: Key) -> tuple[Array, Array]:
        z_key, x_key = jax.random.split(key)
        z = from_prior(prior, z_key, (len(x),))
        likelihood: Any = model.decode(params, z, *given)
        return jnp.where(observed, x, likelihood.sample(x_key)), z

    def gibbs(state, key):
        z_key, x_key = jax.random.split(key)
        q: Any = model.encode(params, state[0], *given, **seen)
        z = q.sample(z_key)
        likelihood: Any = model.decode(params, z, *given)
        return (jnp.where(observed, x, likelihood.sample(x_key)), z), (likelihood.mean, jnp.ones(len(x)))

    def metropolis(state, key):
        z_key, x_key, accept_key = jax.random.split(key, 3)
        filled, z = state
        q: Any = model.encode(params, filled, *given, **seen)
        both = jnp.stack([z, q.sample(z_key)])
        likelihood: Any = model.decode(params, both, *given)
        log_weight = likelihood.log_prob(filled) + prior.log_prob(both) - q.log_prob(both)
        # Compare with the logarithm of a uniform number, so that NaN is never accepted.
        accepted = -jax.random.exponential(accept_key, (len(x),)) < log_weight[1] - log_weight[0]

        def choose(pair: Array) -> Array:
            return jnp.where(accepted.reshape(-1, *[1] * (pair.ndim - 2)), pair[1], pair[0])

        drawn = choose(likelihood.sample(x_key))  # for both z, which costs less than decoding again
        return (jnp.where(observed, x, drawn), choose(both)), (choose(likelihood.mean), accepted.astype(jnp.float32))

    return start, gibbs, metropolis


def advance(step: Step, state: Any, key: Key, num: int) -> Any:
    """Run `num` steps and return the state."""
    return jax.lax.fori_loop(0, num, lambda i, state: step(state, jax.random.fold_in(key, i))[0], state)
