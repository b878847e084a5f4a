"""Sample data from a trained model, by its prior or by a sampler fitted to the codes of its training set."""

import jax
import numpy as np

from jaxvae.common.types import Key, Params
from jaxvae.latent.samplers import Draw, sample_with
from jaxvae.models.base import Model
from jaxvae.models.sampling import sample

_sample = jax.jit(sample, static_argnums=(0, 3, 4))


def draw_samples(
    model: Model,
    params: Params,
    key: Key,
    num: int,
    temperature: float,
    draw: Draw | None = None,
) -> np.ndarray:
    """Sample `[num, *data_shape]`, in the model's units.

    Args:
      model: unconditional, or `given` a context.
      params: its parameters.
      key: of the draws.
      num: number of examples.
      temperature: scale of the draws of z.
      draw: of a sampler fitted to the codes; by default z is drawn from the prior.
    """
    if draw is not None:
        return sample_with(model, params, draw, key, num, temperature)
    return np.asarray(_sample(model, params, key, num, temperature))
