"""What the samplers that learn something share: which latents fit them, coordinates, and a short training."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxvae.distributions.poincare import expmap0, logmap0
from jaxvae.errors import NonFiniteLoss, UserError
from jaxvae.model import Model
from jaxvae.posteriors import CODES, EUCLIDEAN, SPHERE
from jaxvae.types import Array, Key, Params, Tree

ALWAYS = ("prior", "pseudo_inputs")
VECTORS = ("gmm", "flow", "two_stage")


def check_fits(name: str, model: Model) -> None:
    """Raises UserError where the sampler `name` does not fit the space of the model's latents, with those that do."""
    space = model.posterior.space
    if space == CODES:
        fitting = (*ALWAYS, "autoregressive")
    else:
        fitting = (*ALWAYS, *VECTORS) if space == EUCLIDEAN or curvature(model) is not None else ALWAYS
    if name not in fitting:
        raise UserError(
            f"The sampler '{name}' does not fit latents in {space}. Samplers that do: {', '.join(fitting)}."
        )


def curvature(model: Model) -> float | None:
    """The c of a Poincaré ball of curvature -c where the latents live in one, else None."""
    if model.posterior.space in (EUCLIDEAN, SPHERE, CODES):
        return None
    q = jax.eval_shape(lambda key: model.encode(model.init(key), jnp.zeros(model.data_shape)), jax.random.key(0))
    return getattr(q, "curvature", None)


class Coordinates(NamedTuple):
    """Latents as vectors of mean 0 and variance 1 in each dimension, `to` `[N, D]` and `back` again.

    On a Poincaré ball they are tangent vectors at the origin, since the exponential map there takes R^D to the whole
    ball: a density of the one is a density of the other, and the most likely of them is the same for both.
    """

    to: Callable[[Array | np.ndarray], Array]
    back: Callable[[Array], Array]


def coordinates(model: Model, z: np.ndarray) -> Coordinates:
    """The coordinates in which latents z `[N, *latent_shape]` are standardised; dimensions without spread are kept."""
    c, shape = curvature(model), model.latent_shape

    def flat(z):
        z = z.reshape(len(z), -1)
        return z if c is None else logmap0(z, c)

    vectors = np.asarray(flat(z), np.float64)
    mean, spread = (jnp.asarray(value, jnp.float32) for value in (vectors.mean(axis=0), vectors.std(axis=0)))
    scale = jnp.where(spread > 1e-6 * (1 + jnp.abs(mean)), spread, 1.0)

    def back(vectors):
        z = mean + scale * vectors
        return (z if c is None else expmap0(z, c)).reshape(-1, *shape)

    return Coordinates(lambda z: (jnp.asarray(flat(z)) - mean) / scale, back)


def minimise(
    loss: Callable[[Params, Array, Key], Array],
    params: Params,
    data: Tree,
    key: Key,
    steps: int,
    batch_size: int,
    learning_rate: float,
) -> Params:
    """Adam with a cosine schedule on random batches, all in one call of the device.

    Args:
      loss: `(params, rows [B, ...], key) -> [B]` or `[]`.
      params: where to start.
      data: `[N, ...]`.
      key: step i uses key i of its split.
      steps: updates.
      batch_size: B; rows are drawn with replacement.
      learning_rate: the peak.

    Raises:
      UserError: a number below 1.
      NonFiniteLoss: the loss became NaN or infinite.
    """
    for name, value in {"steps": steps, "batch_size": batch_size}.items():
        if value < 1:
            raise UserError(f"The sampler got {name}={value}; it must be at least 1.")
    optimizer = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))

    def run(params, data, key):
        def step(state, key):
            params, opt_state = state
            rows_key, loss_key = jax.random.split(key)
            rows = data[jax.random.randint(rows_key, (batch_size,), 0, len(data))]
            value, gradient = jax.value_and_grad(lambda p: jnp.mean(loss(p, rows, loss_key)))(params)
            updates, opt_state = optimizer.update(gradient, opt_state)
            return (optax.apply_updates(params, updates), opt_state), value

        (params, _), losses = jax.lax.scan(step, (params, optimizer.init(params)), jax.random.split(key, steps))
        return params, jnp.all(jnp.isfinite(losses))

    # A weak type, of a number in an initialiser, would become a strong one in the first step: no scan takes that.
    params = jax.tree.map(lambda leaf: jax.lax.convert_element_type(leaf, leaf.dtype), params)
    params, finite = jax.jit(run)(params, data, key)
    if not finite:
        raise NonFiniteLoss("The loss of the sampler became NaN or infinite while it was fitted: take another sampler.")
    return params
