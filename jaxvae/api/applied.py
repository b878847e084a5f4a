"""Apply a trained model to data as it came, in batches of one size."""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxvae.api.settings import check_asked
from jaxvae.common.errors import UserError
from jaxvae.common.types import Array, Params
from jaxvae.data import tables
from jaxvae.data.files import examples
from jaxvae.data.incoming import as_stored, stored_and_mask
from jaxvae.data.own_units import completed, viewed
from jaxvae.data.quadrants import modelled
from jaxvae.data.rows import as_frames, with_given
from jaxvae.data.spec import DataSpec, preprocess_of
from jaxvae.data.wanted import wanted, with_pixels
from jaxvae.distributions.missingness import MISSINGNESS
from jaxvae.latent.imputation import importance_imputation
from jaxvae.metrics.likelihood import importance_nll
from jaxvae.models.base import Model, centre, encode_batch
from jaxvae.models.sampling import reconstruct

BATCH = 1024


class Applied:
    """The compiled functions of a trained model, of data `[N, ...]` as it came; see the methods of `Run`."""

    def __init__(
        self, config: Mapping[str, Any], spec: DataSpec, model: Model, params: Params, groups: Mapping[str, Params]
    ):
        self._config, self._spec, self._model, self._params = config, spec, model, params
        self._missingness = groups.get(MISSINGNESS)

    def encode(self, x: Any, context: Any, mask: Any) -> np.ndarray:
        """Return the centres of q(z|x), `[N, *latent_shape]`."""
        return self.by_batch(partial(self._encode, self._params), x, context, mask)

    def by_batch(
        self, function: Callable[[dict[str, Any]], Any], x: Any, context: Any = None, mask: Any = None
    ) -> np.ndarray:
        """Apply `batch -> [B, ...]` to data in batches, and join the results."""
        return np.concatenate([np.asarray(function(batch)) for batch in self._batches(x, context, mask)])

    def reconstruct(self, x: Any, context: Any, mask: Any) -> np.ndarray:
        """Return the means of p(x|z) at the centres of q(z|x), as `viewed`; pixels of the context are as given."""
        found = []
        for batch in self._batches(x, context, mask):
            made = viewed(self._config, self._spec, self._reconstruct(self._params, batch))
            found.append(with_pixels(self._spec, made, batch.get("context")))
        return np.concatenate(found)

    def decode(self, z: Any, context: Any) -> np.ndarray:
        """Return the means of p(x|z), in the model's units."""
        shape = self._model.latent_shape
        try:
            z = np.asarray(z, np.float32)
        except (TypeError, ValueError) as error:
            raise UserError(f"z is not an array of numbers, [N, {', '.join(map(str, shape))}]: {error}.") from error
        if z.shape[1:] not in (shape, (math.prod(shape),)):
            raise UserError(f"z has shape {z.shape}; the latents of this run are [N, {', '.join(map(str, shape))}].")
        _check_some(z)
        z = z.reshape(-1, *shape)
        beside = () if context is None else (self._context(context, len(z)),)
        parts = (slice(i, i + BATCH) for i in range(0, len(z), BATCH))
        return np.concatenate(
            [self._decode(self._params, z[rows], *(array[rows] for array in beside)) for rows in parts]
        )

    def log_likelihood(self, x: Any, num_samples: int, seed: int, context: Any, mask: Any) -> np.ndarray:
        """Estimate log p(x), `[N]` nats, of the density in the data's own units."""
        check_asked({"evaluate.nll_samples": num_samples, "seed": seed})
        root, memory_mb = jax.random.key(seed), self._config["evaluate"]["memory_mb"]

        @jax.jit
        def of_batch(params: Params, batch: dict[str, Array], index: int) -> Array:
            key = jax.random.fold_in(root, index)
            return -importance_nll(self._model, params, key, num_samples=num_samples, memory_mb=memory_mb, **batch)

        found = []
        for i, batch in enumerate(self._batches(x, context, mask)):
            jacobian: Any = self._spec.log_scale
            if "mask" in batch:
                jacobian = self._spec.observed_log_scale(np.asarray(batch["mask"]))
            found.append(of_batch(self._params, batch, i) - jacobian)
        return np.concatenate(found)

    def impute(
        self,
        x: Any,
        num_draws: int = 0,
        num_samples: int = 1000,
        seed: int = 0,
        context: Any = None,
        mask: Any = None,
    ) -> Any:
        """Impute missing values by importance sampling, see `latent.imputation.importance_imputation`.

        Args:
          x: `[N, ...]` as the training data came; NaN is missing.
          num_draws: M; 0 for the means of the missing values, the single imputation of least squared error.
          num_samples: K draws of z for each example.
          seed: of all draws.
          context: `[N, C]` of a conditional model.
          mask: bool `[N, *data_shape]`, False where a value is missing too.

        Returns:
          `[N, *data_shape]`, or with M above 0 the M draws `[M, N, *data_shape]`, in the data's own units; of a table a
          data frame, or a list of M. Observed values are those given: exactly in data frames, else as float32.

        Raises:
          UserError: posterior or likelihood is not a density, or the likelihood is not a product over values.
        """
        root, found, x = jax.random.key(seed), [], self._opened(x)
        given, known = stored_and_mask(self._spec, self._config["data"], x, binarized=False)
        observed = np.ones(given.shape, bool) if known is None else known
        observed = observed if mask is None else observed & self._mask(mask, len(given))
        for i, batch in enumerate(self._batches(x, context, observed)):
            how = jax.random.fold_in(root, i), batch["x"], batch["mask"], num_samples, num_draws, batch.get("context")
            imputed = importance_imputation(self._model, self._params, *how, missingness=self._missingness)
            kept = observed[i * BATCH : (i + 1) * BATCH]
            found.append(np.where(kept, batch["x"], imputed.draws if num_draws else imputed.mean))
        joined = np.concatenate(found, axis=1 if num_draws else 0)
        made = as_frames(self._spec.table, completed(self._config, self._spec, given, observed, joined))
        return with_given(self._spec.table, made, x, observed) if self._spec.table and tables.is_table(x) else made

    def _batches(self, x: Any, context: Any, mask: Any) -> Iterator[dict[str, Any]]:
        x = self._opened(x)
        stored, mask = self._stored(x, mask)
        _check_some(stored)
        fields = self._spec.context
        if context is None and fields and all(field.kind == "pixels" for field in fields):
            context = x  # the context is a part of the image
        own = modelled(self._spec.context_names, self._spec.shape)
        mask = mask if own is None else np.broadcast_to(own, stored.shape) & (True if mask is None else mask)
        beside = {"context": None if context is None else self._context(context, len(stored)), "mask": mask}
        arrays = {name: np.asarray(array) for name, array in beside.items() if array is not None}
        for name, array in arrays.items():
            if len(array) != len(stored):
                raise UserError(f"There are {len(stored)} examples, but {len(array)} rows of {name}.")
        for i, start in enumerate(range(0, len(stored), BATCH)):
            rows = slice(start, start + BATCH)
            key = jax.random.fold_in(jax.random.key(self._config["seed"]), i)
            yield {"x": self._preprocess(key, stored[rows])} | {name: array[rows] for name, array in arrays.items()}

    def _context(self, given: Any, num: int) -> np.ndarray:
        """Encode a context in the user's terms, `[num, C]`; a single one is that of all examples."""
        rows = wanted(self._spec, self._config["data"], given)
        if len(rows) not in (1, num):
            raise UserError(f"There are {num} examples, but {len(rows)} rows of context: give one for each, or one.")
        return np.broadcast_to(rows, (num, rows.shape[1]))

    def _opened(self, x: Any) -> Any:
        """Read data from its path, as `jaxvae.fit` does; other data is returned unchanged."""
        if self._spec.sequence or not isinstance(x, str | os.PathLike):
            return x
        path = Path(x).expanduser()
        suffix = next((end for end in tables.SUFFIXES if path.name.lower().endswith(end)), "")
        if not path.exists():
            raise UserError(f"'{x}' does not exist. Give the path of a file or folder, or the data itself.")
        if not suffix:
            return examples(path, self._config["data"]["image_size"])
        return tables.opened(path, suffix, self._config["data"]["label"])[0]

    def _stored(self, x: Any, mask: Any) -> tuple[np.ndarray, Any]:
        """Return stored values and the mask: that given, without the values that are NaN."""
        if not self._spec.has_missing and mask is None:
            return as_stored(self._spec, self._config["data"], x), None
        stored, observed = stored_and_mask(self._spec, self._config["data"], x)
        if mask is None:
            return stored, observed
        mask = self._mask(mask, len(stored))
        return stored, mask if observed is None else observed & mask

    def _mask(self, mask: Any, num: int) -> np.ndarray:
        """Check a mask of `num` examples; that of images may be one for all channels."""
        mask, shape = np.asarray(mask), (num, *self._spec.shape)
        mask = mask[..., None] if len(shape) == 4 and mask.shape == shape[:3] else mask
        if mask.dtype != bool or mask.shape not in (shape, *([(*shape[:3], 1)] if len(shape) == 4 else [])):
            raise UserError(
                f"The mask is {mask.dtype} {list(mask.shape)}; it must be bool {list(shape)}, True where a value of x "
                "is observed."
            )
        return np.broadcast_to(mask, shape)

    @cached_property
    def _preprocess(self):
        return jax.jit(preprocess_of(self._config, self._spec))

    @cached_property
    def _encode(self):
        return jax.jit(lambda params, batch: centre(encode_batch(self._model, params, batch)))

    @cached_property
    def _decode(self):
        return jax.jit(lambda params, z, *context: self._model.decode(params, z, *context).mean)

    @cached_property
    def _reconstruct(self):
        return jax.jit(lambda params, batch: reconstruct(self._model, params, **batch))


def _check_some(x: np.ndarray) -> None:
    """Raise UserError where there are no examples."""
    if not len(x):
        raise UserError(
            f"There are no examples: the array has shape {x.shape}. Give at least one, [N, ...] with N > 0."
        )
