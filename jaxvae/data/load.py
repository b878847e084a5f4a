"""`load` turns a name or a path into three fixed splits of plain arrays."""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxvae.data import cache, files, tfds_images
from jaxvae.data.preprocess import binarize
from jaxvae.errors import UserError

SPLIT_SEED = 0  # splits are part of the data: the same in every run
TEST_FRACTION = 0.2  # where the data has no test set of its own
CHECKED_BYTES = 2**26  # of larger data every nth row goes into the checksum


class Split(NamedTuple):
    """`x` `[N, *shape]`, uint8, float32 or int32 as stored; `label` `[N]` integers, or None."""

    x: np.ndarray
    label: np.ndarray | None = None

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What batches are made of: "x", and "label" where there are labels."""
        return {"x": self.x} if self.label is None else {"x": self.x, "label": self.label}


class Dataset(NamedTuple):
    """Three splits; the stored values lie in [0, max_value]."""

    name: str
    train: Split
    validation: Split
    test: Split
    max_value: float

    @property
    def levels(self) -> int:
        """How many values an entry can have; floats in [0, 1] count as 8-bit pixels."""
        return 256 if self.train.x.dtype == np.float32 else round(self.max_value) + 1

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return self.train.x.shape[1:]


def load(
    name: str = "digits",
    path: str = "",
    data_dir: str = "",
    cache_dir: str = "",
    image_size: int = 0,
    validation_fraction: float = 0.1,
    binarization: str = "none",
) -> Dataset:
    """Loads a data set and splits it the same way every time.

    Args:
      name: "digits" (bundled with scikit-learn) or any TFDS image data set by its TFDS name.
      path: an `.npz` or `.npy` file or a folder of images; where given, it is the data and `name` is only a label.
      data_dir: where TFDS data lies; default `$TFDS_DATA_DIR`, then `~/tensorflow_datasets`.
      cache_dir: where decoded arrays are kept; default `$XDG_CACHE_HOME/jaxvae` or `~/.cache/jaxvae`.
      image_size: where above 0, images are cropped to their central square and resized to this many pixels.
      validation_fraction: the part of the training data held out where there is no validation set; 0 for none.
      binarization: see `binarize`; "dynamic" is done later, inside the training step.

    Raises:
      UserError: nothing is there, or what is there is no usable data.
    """
    if not 0 <= validation_fraction < 1:
        raise UserError(f"data.validation_fraction is {validation_fraction}; it must be in [0, 1).")
    if path:
        splits = files.read(Path(path).expanduser(), image_size)
    elif name == "digits":
        x, label = _digits()
        splits = {"train": (files.resize(x, image_size), label)}
    else:
        splits = tfds_images.read(name, data_dir, cache_dir, image_size)
    splits = {key: Split(*value) for key, value in splits.items()}
    max_value = 16.0 if name == "digits" and not path else _max_value(splits)
    return prepare(name, splits, max_value, validation_fraction, binarization)


def prepare(
    name: str, splits: dict[str, Split], max_value: float, validation_fraction: float = 0.1, binarization: str = "none"
) -> Dataset:
    """Checks the arrays, cuts what splits are missing out of "train", and binarises where that is done once."""
    if "train" not in splits:
        raise UserError(f"'{name}' has no split 'train', but {', '.join(splits) or 'nothing'}.")
    for key, split in splits.items():
        _check(key, split, splits["train"].x)
    train = splits["train"]
    # A set of its own for testing comes shuffled by its makers; otherwise the cut is a fixed permutation.
    if "test" not in splits:
        train, splits["test"] = _cut(train, TEST_FRACTION)
    if "validation" not in splits:
        train, splits["validation"] = _cut(train, validation_fraction)
    done = {}
    for key, split in {**splits, "train": train}.items():
        if not len(split.x) and (key != "validation" or validation_fraction > 0):
            raise UserError(
                f"The {key} split of '{name}' is empty: {len(splits['train'].x)} examples are too few to split with "
                f"data.validation_fraction={validation_fraction}. Give more data, or another fraction (0 for none)."
            )
        x, new_max = binarize(split.x, max_value, binarization)
        done[key] = Split(x, split.label)
    return Dataset(name, done["train"], done["validation"], done["test"], new_max)


def from_sources(
    name: str, sources: Mapping[str, Sequence], folder: Path, image_size: int = 0, validation_fraction: float = 0.1
) -> Dataset:
    """A data set from anything with length and items `{"image", "label"?}`, decoded once into `folder`.

    Args:
      name: what to call it.
      sources: "train", and "validation" and "test" where there are such.
      folder: where the decoded arrays are kept, and found the next time; a folder of its own.
      image_size: as in `load`.
      validation_fraction: as in `load`.

    Raises:
      UserError: no items, items that cannot be read, or images of unequal sizes.
    """
    splits = cache.decoded(folder, lambda: dict(sources), image_size)
    found = {key: Split(*value) for key, value in splits.items()}
    return prepare(name, found, _max_value(found), validation_fraction)


def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits  # its import costs half a second: only where it is used

    bunch: Any = load_digits()
    return bunch.images[..., None].astype(np.uint8), bunch.target.astype(np.int32)


def checksum(split: Split) -> int:
    """Changes with the shape, the values and the labels of a split, so that a changed file is noticed."""
    value = zlib.crc32(repr([(name, a.shape, a.dtype.str) for name, a in split.arrays.items()]).encode())
    for array in split.arrays.values():
        stride = -(-array.nbytes // CHECKED_BYTES) or 1
        value = zlib.crc32(array[::stride].tobytes(), value)
    return value


def _max_value(splits: dict[str, Split]) -> float:
    """255 for 8-bit pixels, 1 for floats and for 8-bit values that are only 0 and 1, the greatest of larger counts."""
    if greatest := max((int(s.x.max()) for s in splits.values() if s.x.dtype == np.int32 and s.x.size), default=0):
        return float(greatest)
    eight_bit = [np.atleast_1d(s.x) for s in splits.values() if s.x.dtype == np.uint8]  # not yet checked
    # In slices: the first one ends the search, unless the data is binary.
    slices = (x[i : i + 1024] for x in eight_bit for i in range(0, len(x), 1024))
    return 255.0 if any(part.size and part.max() > 1 for part in slices) else 1.0


def _cut(split: Split, fraction: float) -> tuple[Split, Split]:
    order = np.random.Generator(np.random.PCG64(SPLIT_SEED)).permutation(len(split.x))
    size = round(len(order) * fraction)
    parts = np.sort(order[size:]), np.sort(order[:size])
    rest, cut = (Split(split.x[p], None if split.label is None else split.label[p]) for p in parts)
    return (split, cut) if not size else (rest, cut)


def _check(key: str, split: Split, train: np.ndarray) -> None:
    x, label = split
    if not 2 <= x.ndim <= 4 or 0 in x.shape[1:]:
        raise UserError(
            f"The {key} data has shape {x.shape}; expected [N, features], [N, height, width] or "
            "[N, height, width, channels]."
        )
    if x.shape[1:] != train.shape[1:]:
        raise UserError(f"The {key} examples have shape {x.shape[1:]}, but the train examples have {train.shape[1:]}.")
    if x.dtype != train.dtype:
        raise UserError(f"The {key} examples are {x.dtype}, but the train examples are {train.dtype}.")
    if label is not None and (label.ndim != 1 or label.dtype.kind not in "iu"):
        raise UserError(f"The {key} label array is {label.dtype} {label.shape}; it must hold one integer per example.")
    if label is not None and len(label) != len(x):
        raise UserError(f"The {key} data has {len(x)} examples but {len(label)} labels.")
    if x.dtype == np.uint8:
        return
    if x.dtype == np.int32:
        if x.size and x.min() < 0:
            raise UserError(f"The {key} data holds whole numbers from {x.min()} to {x.max()}; counts are 0 or more.")
        return
    if x.dtype != np.float32:
        raise UserError(
            f"The {key} data has type {x.dtype}; store pixels as uint8 (0 to 255) or as floats in [0, 1], and counts "
            "as whole numbers below 2^24."
        )
    if bad := int(x.size - np.isfinite(x).sum()):
        raise UserError(f"The {key} data holds {bad} values that are NaN or infinite. Clean the data first.")
    if x.size and (x.min() < 0 or x.max() > 1):
        raise UserError(
            f"The {key} data holds floats from {x.min():.4g} to {x.max():.4g}; floats must lie in [0, 1] "
            "(8-bit pixels can be stored as uint8 instead). Rescale the data first."
        )
