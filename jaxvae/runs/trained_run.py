"""Hold a trained model and its data, for metrics, tools and reports."""

import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import jax
import numpy as np

from jaxvae import train
from jaxvae.common.errors import UserError, unknown
from jaxvae.common.types import Key
from jaxvae.data.load import Split
from jaxvae.data.spec import compared, shown, viewed
from jaxvae.experiment.parts import part
from jaxvae.experiment.setup import Experiment
from jaxvae.latent.samplers import encode_all, sample_with
from jaxvae.models.base import centre, encode_batch
from jaxvae.models.facts import Batch
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
        self.dataset, self.model = experiment.dataset, experiment.shown
        self.params = jax.device_put(restored.params)  # a traced index into NumPy's arrays is an error
        self._cached = {"codes": cache(self._codes), "draw": cache(self._draw), "generated": cache(self._generated)}
        self._encode = jax.jit(lambda params, batch: centre(encode_batch(experiment.model, params, batch)))
        self._decode = jax.jit(lambda params, z: self.model.decode(params, z).mean)
        self._preprocess = jax.jit(lambda key, i, raw: experiment.preprocess(jax.random.fold_in(key, i), raw))

    def key(self, name: str) -> Key:
        """Return the root key of a metric or tool by its name, independent of all others."""
        root = train.stream(self.config["seed"], "test")
        return jax.random.fold_in(root, zlib.crc32(name.encode()) % 2**31)

    def split(self, name: str) -> Split:
        """Return the "train", "validation" or "test" data as stored."""
        return getattr(self.dataset, name)

    def some(self, split: str, num: int) -> np.ndarray:
        """Return a random sample of a split's row indices, `[at most num]`; random, since the split may be sorted."""
        return some_rows(len(self.split(split).x), num)

    def batches(self, split: str, which: int | np.ndarray | None = None) -> Iterator[Batch]:
        """Yield batches of at most BATCH preprocessed examples "x", with their "context" and "mask" if there are any.

        `which` selects all (None), the first ones (a number), or rows by index.
        """
        arrays = self.split(split).arrays
        arrays.pop("label", None)
        rows = which if isinstance(which, np.ndarray) else np.arange(len(arrays["x"]))[:which]
        for i in range(0, len(rows), BATCH):  # a streamed split is never read as a whole
            batch: Any = {name: np.asarray(array[rows[i : i + BATCH]]) for name, array in arrays.items()}
            yield {**batch, "x": self.prepared(split, i, batch["x"])}

    def prepared(self, split: str, start: int, stored: np.ndarray) -> Any:
        """Preprocess stored values of a split, as the batch that begins at `start` in `batches`."""
        return self._preprocess(self.key(f"data/{split}"), start, stored)

    def batch(self, split: str, which: int | np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Return the examples of `batches` as one batch."""
        parts = list(self.batches(split, which))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def x(self, split: str, which: int | np.ndarray | None = None) -> np.ndarray:
        """Return the preprocessed examples of `batches` as one array `[N, *data_shape]`."""
        return self.batch(split, which)["x"]

    def viewed(self, x: Any) -> np.ndarray:
        """Convert model inputs or decoded means to the data's own units, for files: see `data.spec.viewed`."""
        return viewed(self.config, self.experiment.spec, x)

    def unit(self, x: Any) -> np.ndarray:
        """Convert model inputs or decoded means to [0, 1] for pictures; tokens and frames to whole numbers."""
        is_real = self.experiment.spec.is_real
        return shown(self.experiment.spec, self.viewed(x)) if is_real else self.compared(x)

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

    def decode(self, z: Any) -> np.ndarray:
        """Return the means of p(x|z), `[N, *data_shape]`, for z `[N, *latent_shape]` or flattened."""
        z = np.asarray(z, np.float32).reshape(-1, *self.model.latent_shape)
        return np.concatenate([self._decode(self.params, z[i : i + BATCH]) for i in range(0, len(z), BATCH)])

    def labels(self, split: str, factor: str = "") -> np.ndarray:
        """Return the labels `[N]`, or the values of the named factor.

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

    def draw(self) -> Any:
        """Return `(key, num, temperature) -> z` of the configured sampler, fitted to the training set."""
        return self._cached["draw"]()

    def _codes(self, split: str) -> np.ndarray:
        codes = [np.asarray(self._encode(self.params, batch)) for batch in self.batches(split)]
        codes = np.concatenate(codes)
        return codes.reshape(len(codes), -1)

    def _draw(self):
        sampler = part("sampler", self.config["sample"]["sampler"])()
        encode_key, fit_key = jax.random.split(self.key("sampler"))
        codes = None
        if sampler.needs_codes:
            keep = max(1000, self.config["sample"]["sampler"].get("components", 0))  # pseudo-inputs are among them
            codes = encode_all(self.experiment.model, self.params, self.batches("train"), encode_key, keep)
        return sampler.fit(self.model, self.params, codes, fit_key)

    def _generated(self, num: int) -> np.ndarray:
        settings = self.config["sample"]
        key = self.key("generated")
        if self.experiment.model.context_dim:  # contexts as frequent as in the data
            test: Any = self.dataset.test.context
            context = test[np.random.default_rng(0).integers(len(test), size=num)]
            draw = self.draw() if part("sampler", settings["sampler"])().needs_codes else None
            model = self.experiment.model
            return draw_samples(model, self.params, key, 1, settings["temperature"], draw, context)
        return np.asarray(sample_with(self.model, self.params, self.draw(), key, num, settings["temperature"]))
