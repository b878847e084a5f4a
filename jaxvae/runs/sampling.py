"""Sample data from a trained model, by its prior or by a sampler fitted to the codes of its training set."""

from functools import partial

import jax
import numpy as np

from jaxvae.common.types import Array, Key, Params
from jaxvae.latent.samplers import Draw, sample_with
from jaxvae.models.base import Model
from jaxvae.models.sampling import decoded_sample, sample

CHUNK = 1024  # samples of a conditional model drawn at a time

_sample = jax.jit(sample, static_argnums=(0, 3, 4))


def draw_samples(
    model: Model,
    params: Params,
    key: Key,
    num: int,
    temperature: float,
    draw: Draw | None = None,
    context: np.ndarray | None = None,
) -> np.ndarray:
    """Sample `[num, *data_shape]`, in the model's units.

    Args:
      model: the model.
      params: its parameters.
      key: of the draws.
      num: number of examples; with M contexts, of each.
      temperature: scale of the draws of z.
      draw: of a sampler fitted to the codes; by default z is drawn from the prior.
      context: `[M, C]` of a conditional model: `num` examples at each context, `[M * num, *data_shape]`.
    """
    if context is not None:
        return _at_contexts(model, params, key, np.repeat(context, num, axis=0), temperature, draw)
    if draw is not None:
        return sample_with(model, params, draw, key, num, temperature)
    return np.asarray(_sample(model, params, key, num, temperature))


def _at_contexts(
    model: Model, params: Params, key: Key, context: np.ndarray, temperature: float, draw: Draw | None
) -> np.ndarray:
    """Sample an example at each row of the context `[N, C]`."""
    found = []
    for i, start in enumerate(range(0, len(context), CHUNK)):
        rows, chunk_key = context[start : start + CHUNK], jax.random.fold_in(key, i) if i else key
        if draw is None:
            found.append(_sample(model, params, chunk_key, len(rows), temperature, rows))
        else:
            found.append(_decoded(model, params, chunk_key, draw(chunk_key, len(rows), temperature, rows), rows))
    return np.concatenate(list(map(np.asarray, found)))


@partial(jax.jit, static_argnums=0)
def _decoded(model: Model, params: Params, key: Key, z: Array, context: Array) -> Array:
    return decoded_sample(model, key, model.decode(params, z, context))
