"""Facts of the data that a model depends on, and how the data was prepared."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxvae.common.columns import Column
from jaxvae.data.column_scaling import fit_columns
from jaxvae.data.context import Field
from jaxvae.data.few_labels import facts_of_labels
from jaxvae.data.missing import has_missing
from jaxvae.data.preprocess import make_preprocess
from jaxvae.data.scaling import fit
from jaxvae.data.split import Dataset

FIXED = ("threshold", "static")  # values of data.binarization that are applied once, to the stored values


class DataSpec(NamedTuple):
    """Facts of the data that a model depends on, and what prepares new data as the training data was.

    A run keeps it in each checkpoint; the settings of the section `data` are in its config.

    Attributes:
      shape: of one example.
      levels: number of possible values of each entry; 256 for 8-bit pixels, and for floats.
      is_float: whether the data is stored as floats, and so is not counts.
      sequence: "text" (tokens `[T]`) or "music" (frames `[T, D]`) for sequences, padded with -1; else "".
      vocabulary: the words of the tokens.
      context_dim: length of the context of each example; 0 without context.
      dtype: type of the values as they came, before `data.binarization`: "uint8", "int32" or "float32"; "" where an
        earlier version did not record it.
      max_value: their greatest possible value, 1 for floats; 0 where an earlier version did not record it.
      value_range: least and greatest value in the model's units, of scaled data and of floats outside [0, 1]; () where
        they follow from the type and `data.pixel_range`.
      shift, scale: `data.scaling` is (x - shift) / scale over the last axis; () for none.
      is_clipped: whether scaled values outside `value_range` are clipped, for a likelihood without a density there.
      columns: names of the features of x `[N, F]`; () for none.
      class_names: names of the labels 0, 1 ...; () for labels that are numbers themselves.
      factor_names: names of the known generative factors.
      has_missing: whether entries of the training data are missing, so that the encoder gets the mask too.
      table: the columns of a table, with their kinds and categories; () for other data.
      context: what the context is made of, in this order, `context_dim` numbers in all.
      labels: the classes of the labels, in ascending order; () without labels.
      labelled: share of the training examples that have a label.
    """

    shape: tuple[int, ...]
    levels: int = 256
    is_float: bool = False
    sequence: str = ""
    vocabulary: tuple[str, ...] = ()
    context_dim: int = 0
    dtype: str = ""
    max_value: float = 0.0
    value_range: tuple[float, ...] = ()
    shift: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    is_clipped: bool = False
    columns: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    factor_names: tuple[str, ...] = ()
    has_missing: bool = False
    table: tuple[Column, ...] = ()
    context: tuple[Field, ...] = ()
    labels: tuple[int, ...] = ()
    labelled: float = 1.0

    @property
    def label_position(self) -> int | None:
        """Return where the one-hot label begins in the context; None where it is not in it."""
        names = [field.name if field.kind == "class" else "" for field in self.context]
        return sum(field.size for field in self.context[: names.index("label")]) if "label" in names else None

    @property
    def has_unknown_classes(self) -> bool:
        """Whether the context has the label, and some of the training examples have none."""
        return self.label_position is not None and self.labelled < 1

    @property
    def classes(self) -> tuple[int, ...]:
        """Return the classes of the labels: those of the context, of all splits, where it has the label."""
        return next((f.values for f in self.context if f.name == "label" and f.kind == "class"), self.labels)

    @property
    def context_names(self) -> tuple[str, ...]:
        """Return the names of what the context is made of."""
        return tuple(field.name for field in self.context)

    @property
    def total(self) -> tuple[int, float, float] | tuple[()]:
        """Return the position in the context, the shift and the scale of an example's total count; () without it."""
        for i, field in enumerate(self.context):
            if field.kind == "total":
                return sum(each.size for each in self.context[:i]), field.shift, field.scale
        return ()

    @property
    def stored_range(self) -> tuple[float, float]:
        """Least and greatest stored value of data that is not scaled."""
        return 0.0, 1.0 if self.is_float else float(self.levels - 1)

    @property
    def is_real(self) -> bool:
        """Whether x is real values of any range: scaled, or floats outside [0, 1]."""
        return bool(self.value_range)

    @property
    def takes_floats(self) -> bool:
        """Whether data may be any floats: where the training data was floats, or rows that are scaled."""
        return self.dtype == "float32" or (bool(self.scale) and len(self.shape) == 1)

    @property
    def greatest(self) -> float:
        """Greatest possible value of data that is not real, as it came: 255 of 8-bit images."""
        return self.max_value or self.stored_range[1]

    @property
    def log_scale(self) -> float:
        """Sum of log(scale) over the entries of one example: log p(own units) = log p(model's units) - log_scale."""
        if not self.scale:
            return 0.0
        return math.prod(self.shape[:-1]) * float(np.log(self.scale).sum())

    def scaled(self, x: np.ndarray) -> np.ndarray:
        """Scale stored values, (x - shift) / scale; unchanged without scaling."""
        shift, scale = np.asarray(self.shift, np.float32), np.asarray(self.scale, np.float32)
        return (x - shift) / scale if self.scale else x

    def unscaled(self, x: np.ndarray) -> np.ndarray:
        """Undo `scaled`."""
        shift, scale = np.asarray(self.shift, np.float32), np.asarray(self.scale, np.float32)
        return x * scale + shift if self.scale else x

    def observed_log_scale(self, mask: np.ndarray) -> np.ndarray:
        """Sum log(scale) over the observed entries of each example: mask `[N, *shape]` to `[N]`."""
        logs = np.log(self.scale) if self.scale else np.zeros(self.shape[-1])
        return np.where(mask, logs, 0.0).reshape(len(mask), -1).sum(axis=1)

    def has_bound(self, settings: Mapping[str, Any]) -> bool:
        """Return whether whole numbers have a greatest value, as pixels do; counts and scaled rows have none."""
        return bool(settings["pixel_range"]) and not (self.scale and (self.dtype == "int32" or self.takes_floats))

    def pixel_range(self, config: Mapping[str, Any]) -> tuple[float, ...]:
        """Least and greatest value after preprocessing: `data.pixel_range`, or as stored where that is ()."""
        return self.value_range or tuple(config["data"]["pixel_range"]) or self.stored_range


def describe(dataset: Dataset, settings: Mapping[str, Any]) -> tuple[DataSpec, tuple[str, ...]]:
    """Describe a data set under the settings of the section `data`; return the notes of its scaling too.

    Raises:
      UserError: the settings do not fit the data.
    """
    scaling, table = fit_columns(dataset) if dataset.table else (fit(dataset, settings), ())
    x = dataset.train.x
    levels = 256 if scaling.scale else 2 if settings["binarization"] == "dynamic" else dataset.levels
    dtype, max_value = dataset.given or (x.dtype.name, float(dataset.max_value))
    spec = DataSpec(
        dataset.shape, levels, bool(scaling.scale) or (x.dtype == np.float32 and levels > 2), dataset.sequence,
        dataset.vocabulary, dataset.context_dim, dtype, max_value, scaling.value_range, scaling.shift, scaling.scale,
        columns=dataset.columns, class_names=dataset.class_names, factor_names=dataset.factor_names,
        has_missing=has_missing(dataset.train), table=table, **facts_of_labels(dataset),
    )  # fmt: skip
    return spec, scaling.notes


def preprocess_of(config: Mapping[str, Any], spec: DataSpec) -> Callable:
    """Make the preprocessing of a run, `(key, stored values) -> x`: see `make_preprocess`.

    Raises:
      UserError: see `make_preprocess`.
    """
    settings = config["data"]
    stored_max = 1.0 if settings["binarization"] in FIXED else spec.greatest
    bounds = spec.value_range if spec.is_clipped else ()
    return make_preprocess(
        stored_max, settings["binarization"], settings["pixel_range"], spec.shift, spec.scale, bounds
    )


def fitted(spec: DataSpec, dataset: Dataset, support: tuple[float, float] | None) -> tuple[DataSpec, tuple[str, ...]]:
    """Fit scaled data to the support of a likelihood: values outside the range of the training data are clipped to it.

    Returns:
      The spec, and a note with the number of such values; the spec unchanged where the support is the whole line.
    """
    if not spec.scale or support is None:
        return spec, ()
    outside = 0
    for split in (dataset.validation, dataset.test):
        x = spec.scaled(np.asarray(split.x, np.float32))
        low, high = spec.value_range
        beyond = (x < low) | (x > high)
        outside += int((beyond if split.mask is None else beyond & split.mask).sum())
    notes = (
        f"{outside} values of the validation and test data are outside the range of the training data, where the "
        "likelihood has no density: they are clipped to it.",
    )
    return spec._replace(is_clipped=True), notes if outside else ()
