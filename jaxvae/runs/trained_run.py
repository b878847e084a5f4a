"""Hold a trained model and its data, for metrics, tools and reports."""

import zlib
from collections.abc import Iterator, Mapping
from functools import cache, partial
from typing import Any

import jax
import numpy as np

from jaxvae import train
from jaxvae.common.errors import UserError, unknown
from jaxvae.common.types import Key
from jaxvae.data.own_units import compared, shown, viewed
from jaxvae.data.quadrants import modelled
from jaxvae.data.split import SPLIT_NAMES, UNLABELLED, Split
from jaxvae.data.wanted import asked, wanted, with_pixels
from jaxvae.experiment.parts import part
from jaxvae.experiment.setup import Experiment
from jaxvae.latent.samplers import sample_with
from jaxvae.models.base import Model, centre, encode_batch
from jaxvae.models.context import given_any
from jaxvae.models.facts import Batch
from jaxvae.runs.classes import with_classes
from jaxvae.runs.fitted import fitted
from jaxvae.runs.restore import Restored
from jaxvae.runs.sampling import draw_samples

BATCH = 1024


def some_rows(size: int, num: int) -> np.ndarray:
    """Return `num` of `size` rows, drawn with a fixed seed, in ascending order; all where `size` is smaller."""
    return np.sort(np.random.default_rng(0).permutation(size)[:num])


class TrainedRun:
    """A trained model and its data; codes and samples are cached.

    Everything runs on one device in batches of a fixed size, so metrics computed from it (a clustering, say) are the
    same bits for any number of devices.
    """

    def __init__(self, experiment: Experiment, restored: Restored):
        self.experiment, self.restored = experiment, restored
        self.config: Mapping[str, Any] = experiment.config
        self.dataset, self.model = experiment.dataset, experiment.model
        self.params = jax.device_put(restored.params)  # a traced index into NumPy's arrays is an error
        self._cached = {
            "split": cache(partial(with_classes, self)),
            "codes": cache(self._codes),
            "draw": cache(lambda settings: fitted(self, dict(settings))),
            "generated": cache(self._generated),
        }
        self._encode = jax.jit(lambda params, batch: centre(encode_batch(experiment.model, params, batch)))
        self._decode = jax.jit(lambda params, z, *context: self.model.decode(params, z, *context).mean)
        self._preprocess = jax.jit(lambda key, i, raw: experiment.preprocess(jax.random.fold_in(key, i), raw))

    def key(self, name: str) -> Key:
        """Return the root key of a metric or tool by its name, independent of all others."""
        root = train.stream(self.config["seed"], "test")
        return jax.random.fold_in(root, zlib.crc32(name.encode()) % 2**31)

    def split(self, name: str) -> Split:
        """Return the "train", "validation" or "test" data as stored, with contexts as in `classes.with_classes`.

        Raises:
          UserError: another name.
        """
        if name not in SPLIT_NAMES:
            raise unknown("split", name, SPLIT_NAMES)
        return self._cached["split"](name)

    def some(self, split: str, num: int) -> np.ndarray:
        """Return a random sample of a split's row indices, `[at most num]`; random, since the split may be sorted."""
        return some_rows(len(self.split(split).x), num)

    def labelled(self, split: str, num: int | None = None) -> np.ndarray:
        """Return the rows of a split that have a label, or a random sample of them, `[at most num]`; see `labels`."""
        rows = np.flatnonzero(self.labels(split) != UNLABELLED)
        return rows if num is None else rows[some_rows(len(rows), num)]

    def batches(self, split: str, which: int | np.ndarray | None = None) -> Iterator[Batch]:
        """Yield batches of at most BATCH preprocessed examples "x", with their "context" and "mask" if there are any.

        `which` selects all (None), the first ones (a number), or rows by index.
        """
        return self.batches_of(split, self.split(split), which)

    def batches_of(self, name: str, split: Split, which: int | np.ndarray | None = None) -> Iterator[Batch]:
        """Yield `batches` of given arrays, as those of the split `name`."""
        arrays = split.arrays
        arrays.pop("label", None)
        rows = which if isinstance(which, np.ndarray) else np.arange(len(arrays["x"]))[:which]
        for i in range(0, len(rows), BATCH):  # a streamed split is never read as a whole
            batch: Any = {name: np.asarray(array[rows[i : i + BATCH]]) for name, array in arrays.items()}
            yield {**batch, "x": self.prepared(name, i, batch["x"])}

    def prepared(self, split: str, start: int, stored: np.ndarray) -> Any:
        """Preprocess stored values of a split, as the batch that begins at `start` in `batches`."""
        return self._preprocess(self.key(f"data/{split}"), start, stored)

    def batch(self, split: str, which: int | np.ndarray | None = None) -> dict[str, Any]:
        """Return the examples of `batches` as one batch of NumPy arrays."""
        parts = list(self.batches(split, which))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def x(self, split: str, which: int | np.ndarray | None = None) -> np.ndarray:
        """Return the preprocessed examples of `batches` as one array `[N, *data_shape]`."""
        return self.batch(split, which)["x"]

    def context(self, split: str, which: int | np.ndarray | None = None) -> Any:
        """Return the contexts `[N, C]` of the examples of `batches`; None for a model without context."""
        context = self.split(split).context
        return None if context is None else context[which if isinstance(which, np.ndarray) else slice(which)]

    def drawn_contexts(self, num: int) -> Any:
        """Return contexts `[num, C]` as frequent as in the test data; None for a model without context."""
        test = self.split("test").context
        return None if test is None else test[np.random.default_rng(0).integers(len(test), size=num)]

    def asked_contexts(self, num: int) -> Any:
        """Return `num` contexts `[num, C]`: those of `sample.context` in turn, or those of `drawn_contexts`."""
        if not asked(self.config):
            return self.drawn_contexts(num)
        rows = wanted(self.experiment.spec, self.config["data"], asked(self.config))
        return rows[np.arange(num) % len(rows)]

    def given(self, index: int = 0) -> Model:
        """Return the model at the context of a test example, or a model without context as it is."""
        context = self.split("test").context
        return given_any(self.model, None if context is None else context[index])

    def viewed(self, x: Any, context: np.ndarray | None = None) -> np.ndarray:
        """Convert model inputs or decoded means to the data's own units, for files: see `data.own_units.viewed`.

        Pixels of the context are those given: it is `[..., C]` for x `[..., *data_shape]`.
        """
        found = viewed(self.config, self.experiment.spec, x)
        return found if context is None else self._with_pixels(found, context)

    def examples(self, batch: Mapping[str, Any]) -> np.ndarray:
        """Return the x of a batch as `viewed`, with NaN for missing values."""
        x, context, mask = self.viewed(batch["x"]), batch.get("context"), batch.get("mask")
        x = x if mask is None else np.where(mask, x, np.nan)
        return x if context is None else self._with_pixels(x, np.asarray(context))

    def filled(self, split: str, which: np.ndarray) -> np.ndarray:
        """Return the x of `batches` for classifiers, with missing values as they are reconstructed."""
        batch = self.batch(split, which)
        if "mask" not in batch:
            return batch["x"]
        known = batch["mask"] | ~self.learned()
        return np.where(known, batch["x"], self.decode(self.codes(split)[which], batch.get("context")))

    def learned(self) -> np.ndarray:
        """Return which values of an example are modelled, bool `[*data_shape]`: all but the pixels of the context."""
        own = modelled(self.experiment.spec.context_names, self.model.data_shape)
        return np.ones(self.model.data_shape, bool) if own is None else own

    def _with_pixels(self, x: np.ndarray, context: np.ndarray) -> np.ndarray:
        flat = x.reshape(-1, *self.model.data_shape), context.reshape(-1, context.shape[-1])
        return with_pixels(self.experiment.spec, *flat).reshape(x.shape)

    def unit(self, x: Any, context: np.ndarray | None = None) -> np.ndarray:
        """Convert as `viewed`, to [0, 1] for pictures; tokens and frames to whole numbers."""
        spec = self.experiment.spec
        return shown(spec, self.viewed(x, context)) if spec.is_real or context is not None else self.compared(x)

    def compared(self, x: Any) -> np.ndarray:
        """Convert model inputs or decoded means for distances: as `unit`, but real values in the model's units."""
        return compared(self.config, self.experiment.spec, x)

    def class_name(self, label: int, factor: str = "") -> str:
        """Return the name of a class: "3 (cat)", or its number alone where it has no name."""
        names = () if factor else self.dataset.class_names
        return f"{label} ({names[label]})" if 0 <= label < len(names) else str(label)

    def codes(self, split: str) -> np.ndarray:
        """Return the code `[N, D]` of each example at its own context: a point estimate of q(z|x), flattened."""
        return self._cached["codes"](split)

    def decode(self, z: Any, context: np.ndarray | None = None) -> np.ndarray:
        """Return the means of p(x|z), `[N, *data_shape]`, for z `[N, *latent_shape]` or flattened.

        A conditional model decodes each z at its own row of the context `[N, C]`.
        """
        z = np.asarray(z, np.float32).reshape(-1, *self.model.latent_shape)
        inputs = (z,) if context is None else (z, context)
        parts = (slice(i, i + BATCH) for i in range(0, len(z), BATCH))
        return np.concatenate([self._decode(self.params, *(array[rows] for array in inputs)) for rows in parts])

    def labels(self, split: str, factor: str = "") -> np.ndarray:
        """Return the labels `[N]`, UNLABELLED (-1) where there is none, or the values of the named factor.

        Raises:
          UserError: the data has no labels, or no such factor.
        """
        if factor:
            names, factors = self.dataset.factor_names, self.split(split).factors
            if factors is None or factor not in names:
                raise unknown("factor", factor, names)
            return factors[:, names.index(factor)]
        label = self.split(split).label
        if label is None:
            raise UserError(f"The data '{self.dataset.name}' has no labels.")
        return label

    def generated(self, num: int) -> np.ndarray:
        """Generate data means `[num, *data_shape]` with the configured sampler and temperature.

        A conditional model generates them at the contexts of test examples, drawn at random.
        """
        return self._cached["generated"](num)

    def draw(self, sampler: Mapping[str, Any] | None = None) -> Any:
        """Return `(key, num, temperature, context) -> z` of a sampler, by default that of the settings.

        `sampler` has its name and options, see `fitted.fitted`.
        """
        settings = self.config["sample"]["sampler"] if sampler is None else sampler
        options = ((name, tuple(value) if isinstance(value, list) else value) for name, value in settings.items())
        return self._cached["draw"](tuple(sorted(options)))

    def own_draw(self) -> Any:
        """Return `draw()` of the settings' sampler; None where it needs no codes and draws from the prior."""
        is_fitted = part("sampler", self.config["sample"]["sampler"])().needs_codes
        return self.draw() if is_fitted else None

    def codes_of(self, batch: Batch) -> np.ndarray:
        """Return the codes `[B, D]` of a batch, as `codes`."""
        codes = np.asarray(self._encode(self.params, batch))
        return codes.reshape(len(codes), -1)

    def _codes(self, split: str) -> np.ndarray:
        return np.concatenate([self.codes_of(batch) for batch in self.batches(split)])

    def _generated(self, num: int) -> np.ndarray:
        settings = self.config["sample"]
        key = self.key("generated")
        context = self.drawn_contexts(num)
        if context is not None:
            model, draw = self.experiment.model, self.own_draw()
            return draw_samples(model, self.params, key, 1, settings["temperature"], draw, context)
        return np.asarray(sample_with(self.model, self.params, self.draw(), key, num, settings["temperature"]))
