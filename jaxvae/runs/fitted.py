"""Fit a sampler to the codes of a run's training set."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Key
from jaxvae.data.wanted import said
from jaxvae.experiment.parts import part
from jaxvae.latent.samplers import Draw, encode_all
from jaxvae.models.base import Model
from jaxvae.models.context import given, prior_depends


def fitted(run: Any, settings: Mapping[str, Any]) -> Draw:
    """Fit a sampler; return `(key, num, temperature=1.0, context=None) -> z [num, *latent_shape]`.

    A conditional model has an aggregate posterior at each context, the mean of q(z|x, context) over the examples there.
    Where the prior does not depend on the context, z is independent of it under the model, and the sampler is fitted
    to the codes of all training examples. Where the prior is p(z|context), it is fitted for each class that is asked
    for, to the codes of the training examples of this class, and row i of `context` `[num, C]` is that of z_i.

    Args:
      run: a `TrainedRun`.
      settings: of the sampler, its name and options.

    Raises:
      UserError: the sampler does not fit the latents or the number of codes; p(z|context) with a context that is not
        of classes, or that no training example has.
    """
    sampler, spec = part("sampler", settings)(), run.experiment.spec
    keep = max(1000, settings.get("components", 0))  # pseudo-inputs are among them

    def fit(key: Key, model: Model, which: np.ndarray | None = None) -> Draw:
        codes, (encode_key, fit_key) = None, jax.random.split(key)
        if sampler.needs_codes:
            codes = encode_all(run.model, run.params, run.batches("train", which), encode_key, keep)
            codes = codes if model.context_dim else codes._replace(contexts=None)
        return sampler.fit(model, run.params, codes, fit_key)

    if not prior_depends(run.model, run.params):
        of_all = fit(run.key("sampler"), run.model)
        return lambda key, num, temperature=1.0, context=None: of_all(key, num, temperature)

    name, others = settings["name"], [field.name for field in spec.context if field.kind != "class"]
    if others:
        raise UserError(
            f"The sampler '{name}' is fitted to the codes of training examples with the context that is asked for, "
            f"since this run's prior depends on it; but {', '.join(others)} is not a class, which many examples share. "
            "Take sample.sampler=prior."
        )
    contexts = run.context("train")

    @cache
    def of_class(row: bytes) -> Draw:
        context = np.frombuffer(row, np.float32)
        words = said(spec.context, context)
        which = np.flatnonzero((contexts == context).all(axis=1))
        if not len(which):
            raise UserError(
                f"The sampler '{name}' is fitted to the codes of training examples with the context that is asked for, "
                f"but none has {words}. Take sample.sampler=prior."
            )
        return fit(run.key(f"sampler/{words}"), given(run.model, jnp.asarray(context)), which)

    def draw(key: Key, num: int, temperature: float = 1.0, context: Any = None) -> Array:
        rows, index = np.unique(np.asarray(context, np.float32), axis=0, return_inverse=True)
        z = np.zeros((num, *run.model.latent_shape), np.float32)
        for i, row in enumerate(rows):
            where = np.flatnonzero(index.reshape(-1) == i)
            size = 1 << (len(where) - 1).bit_length()  # a power of two: few compilations
            z[where] = of_class(row.tobytes())(jax.random.fold_in(key, i), size, temperature)[: len(where)]
        return jnp.asarray(z)

    return draw
