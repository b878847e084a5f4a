"""Splits of plain arrays, the contract of every data source."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxvae.common.columns import Column
from jaxvae.common.errors import UserError

SPLIT_SEED = 0  # splits are part of the data: the same in every run
TEST_FRACTION = 0.2  # where the data has no test set of its own
SPLIT_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}
SPELLINGS = tuple(spelling for names in SPLIT_NAMES.values() for spelling in names)
UNLABELLED = -1  # label of an example whose class is unknown
LABEL_NAMES = ("y", "labels", "label", "targets", "target")


class Split(NamedTuple):
    """Examples with their labels, factors, context, mask and names.

    Attributes:
      x: `[N, *shape]`, uint8, float32 or int32 as stored.
      label: `[N]` integers, UNLABELLED (-1) where the class is unknown, or None.
      factors: `[N, F]` int32, the known generative factors of each example, or None. For evaluation alone, not for
        training.
      context: `[N, C]` float32, the context of each example for a conditional model, or None.
      mask: bool of the shape of x, True where a value is observed, or None where all are.
      beside: structured `[N]`, the user's own arrays or columns that `data.context` names, as stored, or None.
      names: `[N]`, whole numbers or strings, the names of the rows (an index, names of files), or None.
    """

    x: np.ndarray
    label: np.ndarray | None = None
    factors: np.ndarray | None = None
    context: np.ndarray | None = None
    mask: np.ndarray | None = None
    beside: np.ndarray | None = None
    names: np.ndarray | None = None

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays of batches: "x", and "label", "context" and "mask" where not None."""
        found = {"x": self.x, "label": self.label, "context": self.context, "mask": self.mask}
        return {name: array for name, array in found.items() if array is not None}


class Found(NamedTuple):
    """Splits as a source holds them, at least "train", before missing ones are taken out of it.

    Attributes:
      splits: by name, "train", "validation" and "test".
      factor_names: names of the columns of `factors`, () for default names.
      class_names: names of the labels 0, 1 ...; () for labels that are numbers themselves.
      columns: names of the features of x `[N, F]`; () for none.
      notes: which parts of the source were used, and which were ignored.
      table: the columns of a table, with kinds and categories; () for other data.
    """

    splits: dict[str, Split]
    factor_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    table: tuple[Column, ...] = ()


class Dataset(NamedTuple):
    """Three splits of stored values: whole numbers in [0, max_value], or floats, whose `max_value` is 1.

    Attributes:
      name: of the data set.
      train, validation, test: the splits.
      max_value: greatest possible stored value; 1 for floats, of any range.
      factor_names: names of the columns of `factors`.
      sequence: "text" or "music" where examples are sequences, padded with -1; else "".
      vocabulary: words of the tokens.
      notes: how the data was read.
      class_names: names of the labels 0, 1 ...; () for labels that are numbers themselves.
      columns: names of the features of x `[N, F]`; () for none.
      given: type and greatest possible value of x before `data.binarization`; () where it changed nothing.
      rows: see `rows_of_splits`; {} where each split is as the source has it.
      table: the columns of a table, with kinds and categories; () for other data.
      complete: the splits by name before `data.missing` hid entries of x; {} where it hid none.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    max_value: float
    factor_names: tuple[str, ...] = ()
    sequence: str = ""
    vocabulary: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    given: tuple[str, float] | tuple[()] = ()
    rows: Mapping[str, tuple[str, np.ndarray]] = {}
    table: tuple[Column, ...] = ()
    complete: Mapping[str, Split] = {}

    @property
    def levels(self) -> int:
        """Number of possible values of an entry; floats count as 8-bit pixels."""
        return 256 if self.train.x.dtype == np.float32 else round(self.max_value) + 1

    def rows_of(self, split: str) -> np.ndarray:
        """Return the row of each example of a split in the source, `[N]`, from 0: see `rows_of_splits`."""
        return self.rows[split][1] if split in self.rows else np.arange(len(getattr(self, split).x))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self.train.x.shape[1:]

    @property
    def context_dim(self) -> int:
        """Length of the context of each example; 0 without context."""
        return 0 if self.train.context is None else self.train.context.shape[1]


def beside(arrays: Mapping[str, Any]) -> np.ndarray | None:
    """Join arrays `[N, ...]` as the columns of one structured array `[N]`; None without any.

    Raises:
      UserError: arrays of different lengths.
    """
    if not arrays:
        return None
    columns = {name: np.asarray(array) for name, array in arrays.items()}
    columns = {name: a.reshape(len(a)) if a.shape[1:] == (1,) else a for name, a in columns.items()}
    if len({len(a) for a in columns.values()}) > 1:
        sizes = ", ".join(f"'{name}' {list(a.shape)}" for name, a in columns.items())
        raise UserError(f"The arrays of data.context have different numbers of rows: {sizes}.")
    joined = np.empty(len(next(iter(columns.values()))), [(name, a.dtype, a.shape[1:]) for name, a in columns.items()])
    for name, array in columns.items():
        joined[name] = array
    return joined


def cut_rows(num: int, fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Split `num` rows by a fixed permutation: the rows kept, and a `fraction` of them cut off."""
    order = np.random.Generator(np.random.PCG64(SPLIT_SEED)).permutation(num)
    size = round(num * fraction)
    return np.sort(order[size:]), np.sort(order[:size])


def rows_of_splits(sizes: Mapping[str, int], validation_fraction: float) -> dict[str, tuple[str, np.ndarray]]:
    """Assign rows to splits: `{split: (given split, rows of it)}`; missing splits are taken out of "train"."""
    rows = {key: (key, np.arange(size)) for key, size in sizes.items()}
    for key, fraction in (("test", TEST_FRACTION), ("validation", validation_fraction)):
        if key not in rows:
            train = rows["train"][1]
            rest, cut = cut_rows(len(train), fraction)
            rows |= {"train": ("train", train[rest]), key: ("train", train[cut])}
    return rows


def with_missing(found: Mapping[str, Sequence[Any]], validation_fraction: float) -> dict[str, list[Any]]:
    """Split lists of examples by `rows_of_splits`, without empty splits."""
    rows = rows_of_splits({key: len(items) for key, items in found.items()}, validation_fraction)
    return {key: [found[source][i] for i in of] for key, (source, of) in rows.items() if len(of)}
