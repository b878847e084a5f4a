"""Sample data from a trained model, by its prior or by a sampler fitted to the codes of its training set."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxvae.common.types import Key, Params
from jaxvae.experiment.parts import part
from jaxvae.latent.samplers import Draw, sample_with
from jaxvae.models.base import Model
from jaxvae.models.sampling import sample

_sample = jax.jit(sample, static_argnums=(0, 3, 4))


def draw_samples(
    model: Model,
    params: Params,
    sampler: Mapping[str, Any],
    key: Key,
    num: int,
    temperature: float,
    fitted: Callable[[], Draw] | None,
) -> np.ndarray:
    """Sample `[num, *data_shape]`, in the model's units.

    Args:
      model: unconditional, or `given` a context.
      params: its parameters.
      sampler: the section `sample.sampler`.
      key: of the draws.
      num: number of examples.
      temperature: scale of the draws of z.
      fitted: returns the sampler fitted to the codes, where it needs them.
    """
    if fitted is not None and part("sampler", sampler)().needs_codes:
        return sample_with(model, params, fitted(), key, num, temperature)
    return np.asarray(_sample(model, params, key, num, temperature))
