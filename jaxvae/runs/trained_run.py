"""A trained model beside its data, as metrics, tools and reports see it."""

import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxvae import train
from jaxvae.common.errors import UserError, unknown
from jaxvae.common.types import Array, Key
from jaxvae.data.load import Split
from jaxvae.data.spec import viewed
from jaxvae.experiment.parts import part
from jaxvae.experiment.setup import Experiment
from jaxvae.models.base import centre
from jaxvae.runs.restore import Restored
from jaxvae.samplers import encode_all, sample_with

BATCH = 1024


def some_rows(size: int, num: int) -> np.ndarray:
    """`num` of `size` rows at random, always the same, in rising order; all where there are no more."""
    return np.sort(np.random.default_rng(0).permutation(size)[:num])


class TrainedRun:
    """What can be asked of a trained run; what was computed once is kept.

    Everything here is done on one device, batch by batch of a fixed size: numbers built on it (a clustering, say) are
    the same bits whatever the number of devices.
    """

    def __init__(self, experiment: Experiment, restored: Restored):
        self.experiment, self.restored = experiment, restored
        self.config: Mapping[str, Any] = experiment.config
        self.dataset, self.model = experiment.dataset, experiment.shown
        self.params = jax.tree.map(jnp.asarray, restored.params)  # a traced index into NumPy's arrays is an error
        self._cached = {"codes": cache(self._codes), "draw": cache(self._draw), "generated": cache(self._generated)}
        self._encode = jax.jit(lambda params, x: centre(self.model.encode(params, x)))
        self._decode = jax.jit(lambda params, z: self.model.decode(params, z).mean)

    def key(self, name: str) -> Key:
        """The root key of the metric or tool of this name: the others' numbers do not depend on it."""
        root = train.streams(jax.random.key(self.config["seed"]))["test"]
        return jax.random.fold_in(root, zlib.crc32(name.encode()) % 2**31)

    def split(self, name: str) -> Split:
        """The data as stored: "train", "validation" or "test"."""
        return getattr(self.dataset, name)

    def some(self, split: str, num: int) -> np.ndarray:
        """The rows `[at most num]` of examples that stand for a split: taken at random, since it may be sorted."""
        return some_rows(len(self.split(split).x), num)

    def batches(self, split: str, which: int | np.ndarray | None = None) -> Iterator[Array]:
        """Examples as the model sees them, `[at most BATCH, *data_shape]` at a time.

        All of them, the first so many, or those of the rows given.
        """
        x = self.split(split).x
        rows = which if isinstance(which, np.ndarray) else np.arange(len(x))[:which]
        key = self.key(f"data/{split}")
        for i in range(0, len(rows), BATCH):  # a streamed split is never read as a whole
            yield self.experiment.preprocess(jax.random.fold_in(key, i), jnp.asarray(x[rows[i : i + BATCH]]))

    def x(self, split: str, which: int | np.ndarray | None = None) -> Array:
        """As `batches`, in one array `[N, *data_shape]`."""
        return jnp.concatenate(list(self.batches(split, which)))

    def unit(self, x: Any) -> np.ndarray:
        """What the model sees, or the means it decodes, as `viewed`: in [0, 1], tokens and frames as whole numbers."""
        return viewed(self.config, self.experiment.spec, x)

    def codes(self, split: str) -> np.ndarray:
        """The z `[N, D]` that stands for q(z|x) of each example (its mean, for most), flattened."""
        return self._cached["codes"](split)

    def decode(self, z: Any) -> np.ndarray:
        """The means of p(x|z), `[N, *data_shape]`, for z `[N, *latent_shape]` or flattened."""
        z = np.asarray(z, np.float32).reshape(-1, *self.model.latent_shape)
        return np.concatenate([self._decode(self.params, z[i : i + BATCH]) for i in range(0, len(z), BATCH)])

    def labels(self, split: str, factor: str = "") -> np.ndarray:
        """The labels `[N]`, or the values of the factor of this name.

        Raises:
          UserError: there are none, or no such factor.
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
        """`num` new data means `[num, *data_shape]`, by the sampler and at the temperature of the settings."""
        return self._cached["generated"](num)

    def draw(self) -> Any:
        """`(key, num, temperature) -> z` of the sampler of the settings, fitted to the training set."""
        return self._cached["draw"]()

    def _codes(self, split: str) -> np.ndarray:
        codes = [np.asarray(self._encode(self.params, x)) for x in self.batches(split)]
        codes = np.concatenate(codes)
        return codes.reshape(len(codes), -1)

    def _draw(self):
        sampler = part("sampler", self.config["sample"]["sampler"])()
        encode_key, fit_key = jax.random.split(self.key("sampler"))
        codes = None
        if sampler.needs_codes:
            keep = max(1000, self.config["sample"]["sampler"].get("components", 0))  # pseudo-inputs are among them
            codes = encode_all(self.model, self.params, self.batches("train"), encode_key, keep)
        return sampler.fit(self.model, self.params, codes, fit_key)

    def _generated(self, num: int) -> np.ndarray:
        settings = self.config["sample"]
        key = self.key("generated")
        return np.asarray(sample_with(self.model, self.params, self.draw(), key, num, settings["temperature"]))
