"""Load a data set by name or path, as three fixed splits of plain arrays."""

import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.places import check_named
from jaxvae.data import cache, files, missing, tfds_images
from jaxvae.data.bundled import BUNDLED
from jaxvae.data.checks import check, check_binarization, check_names
from jaxvae.data.containers import holds_arrays
from jaxvae.data.context import own_names
from jaxvae.data.preprocess import binarize
from jaxvae.data.resize import resize
from jaxvae.data.split import TEST_FRACTION, Dataset, Found, Split, rows_of_splits
from jaxvae.data.stream import Rows, Source

MAX_VALUES = {"digits": 16.0}  # of bundled data whose greatest value differs from its type's
CHECKED_BYTES = 2**26  # the checksum of larger data covers every nth row


def load(
    name: str = "digits",
    path: str = "",
    data_dir: str = "",
    cache_dir: str = "",
    image_size: int = 0,
    validation_fraction: float = 0.1,
    binarization: str = "none",
    stream: bool = False,
    label: str = "",
    context: str = "",
) -> Dataset:
    """Load a data set and split it the same way every time.

    Args:
      name: "digits" or "breast_cancer" (of scikit-learn), "shapes", "color_shapes" or "cells" (drawn), or any
        TFDS image data set by its TFDS name; its integer features `label_*`, such as those of dSprites, become factors.
      path: a file or folder, as in `files.read`; where given, it is the data and `name` is only a label.
      data_dir: folder of TFDS data; default `$TFDS_DATA_DIR`, then `~/tensorflow_datasets`.
      cache_dir: folder of decoded arrays; default `$XDG_CACHE_HOME/jaxvae` or `~/.cache/jaxvae`.
      image_size: where above 0, images are cropped to their central square and resized to this many pixels.
      validation_fraction: share of the training data held out where there is no validation set; 0 for none.
      binarization: as in `binarize`; "dynamic" is applied later, inside the training step.
      stream: leave the images of a TFDS set or of a folder in place, and decode them whenever they are needed.
      label: name of the array, column or annotation of a file that holds the labels; "" for the usual names.
      context: names, separated by commas, of what a file holds for the context of a model: see `context.conditioned`.

    Raises:
      UserError: there is no data, no usable data, or no such label or context.
    """
    if not 0 <= validation_fraction < 1:
        raise UserError(f"data.validation_fraction is {validation_fraction}; it must be in [0, 1).")
    place = Path(path).expanduser()
    is_streamable = place.is_dir() and not holds_arrays(place) if path else name not in BUNDLED
    if stream and not is_streamable:
        raise UserError(
            f"data.stream is True, but '{path or name}' is read into memory: only TFDS data sets and folders of images "
            "can be streamed."
        )
    if label and not path:
        check_named(name, data_dir=data_dir)  # a missing file has no labels either
        raise UserError(
            f"data.label is '{label}', but '{name}' has its own labels. Leave it empty, except with data.path."
        )
    if path:
        found = files.read(place, image_size, stream, cache_dir, label, own_names(context))
    elif name in BUNDLED:
        found = BUNDLED[name]()
        whole = found.splits["train"]
        found = found._replace(splits={"train": whole._replace(x=resize(whole.x, image_size))})
    else:
        found = tfds_images.read(name, data_dir, cache_dir, image_size, stream)
    return prepare_found(name, found, validation_fraction, binarization, MAX_VALUES.get("" if path else name))


def from_arrays(
    name: str,
    arrays: Mapping[str, np.ndarray],
    image_size: int = 0,
    validation_fraction: float = 0.1,
    binarization: str = "none",
    label: str = "",
    context: str = "",
) -> Dataset:
    """Make a data set from named arrays, as in an `.npz` file.

    Args:
      name: of the data set.
      arrays: `{"x": [N, ...], "y": [N]}`, or "x_train", "x_test" and so on: see docs/data.md.
      image_size: as in `load`.
      validation_fraction: as in `load`.
      binarization: as in `load`.
      label: as in `load`.
      context: as in `load`.

    Raises:
      UserError: the arrays are not usable data.
    """
    arrays = {key: np.asarray(a) for key, a in arrays.items()}
    found = files.from_arrays(arrays, name, image_size, label, own_names(context))
    return prepare_found(name, found, validation_fraction, binarization)


def prepare_found(
    name: str, found: Found, validation_fraction: float, binarization: str, max_value: float | None = None
) -> Dataset:
    """Make a data set from the splits of a source, see `prepare`; by default the greatest value follows from them."""
    greatest = _max_value(found.splits) if max_value is None else max_value
    made = prepare(
        name, found.splits, greatest, validation_fraction, binarization, found.factor_names, columns=found.columns
    )
    return made._replace(class_names=found.class_names, notes=(*found.notes, *made.notes), table=found.table)


def prepare(
    name: str,
    splits: dict[str, Split],
    max_value: float,
    validation_fraction: float = 0.1,
    binarization: str = "none",
    factor_names: Sequence[str] = (),
    is_sequence: bool = False,
    columns: Sequence[str] = (),
) -> Dataset:
    """Check the arrays, take missing splits out of "train", and binarise by "threshold" or "static".

    NaN in floats is a missing value, see `missing.without_nan`.

    Raises:
      UserError: the arrays are not usable data, or cannot be split or binarised.
    """
    if "train" not in splits:
        raise UserError(f"'{name}' has no split 'train', but {', '.join(splits) or 'nothing'}.")
    splits = {key: missing.without_nan(split) for key, split in splits.items()}
    for key, split in splits.items():
        check(key, split, splits["train"].x, -1 if is_sequence else 0, columns)
    factor_names = check_names(splits, factor_names)
    done = {}
    # Missing splits are taken by a fixed permutation, so that sorted data is split at random.
    places = rows_of_splits({k: len(s.x) for k, s in splits.items()}, validation_fraction)
    for key, (source, rows) in places.items():
        split = select(splits[source], rows)
        if not len(split.x) and (key != "validation" or validation_fraction > 0):
            few = f"The {key} split of '{name}' is empty: {len(splits['train'].x)} examples are too few"
            if key == "test":
                raise UserError(
                    f"{few}, since a share of {TEST_FRACTION} of them is the test set. Give more data, or a test set "
                    "of your own, 'x_test'."
                )
            raise UserError(
                f"{few} to split with data.validation_fraction={validation_fraction}. Give more data, or another "
                "fraction (0 for none)."
            )
        if isinstance(split.x, Rows) and binarization in ("threshold", "static"):
            raise UserError(
                f"data.binarization is '{binarization}', which is done once, but streamed images are read again each "
                "time. Take 'dynamic' or 'none', or data.stream=False."
            )
        check_binarization(key, split, binarization)
        x, new_max = binarize(split.x, max_value, binarization)
        if split.mask is not None:
            x = np.where(split.mask, x, x.dtype.type(0))  # missing values may be anything
        factors = None if split.factors is None else split.factors.astype(np.int32, copy=False)
        done[key] = split._replace(x=x, factors=factors)
    missing.check_columns(done["train"], columns)
    given = (splits["train"].x.dtype.name, float(max_value)) if binarization in ("threshold", "static") else ()
    return Dataset(
        name, done["train"], done["validation"], done["test"], new_max, factor_names, notes=missing.notes(done),
        columns=tuple(columns), given=given, rows=places,
    )  # fmt: skip


def from_sources(
    name: str,
    sources: Mapping[str, Source],
    folder: str | os.PathLike[str],
    image_size: int = 0,
    validation_fraction: float = 0.1,
    factor_names: Sequence[str] = (),
    stream: bool = False,
) -> Dataset:
    """Make a data set from anything with length and items `{"image", "label"?}`, decoded once into `folder`.

    Args:
      name: of the data set.
      sources: "train", and optionally "validation" and "test".
      folder: cache of the decoded arrays, for this data set alone.
      image_size: as in `load`.
      validation_fraction: as in `load`.
      factor_names: keys of the items that hold known generative factors, whole numbers.
      stream: as in `load`; `folder` then holds no images, and the sources must pickle.

    Raises:
      UserError: no items, unreadable items, missing factors, images of unequal sizes, or a folder with other files in
        it.
    """
    found = cache.decoded(Path(folder).expanduser(), lambda: dict(sources), image_size, factor_names, stream)
    return prepare(name, found, _max_value(found), validation_fraction, factor_names=factor_names)


def checksum(split: Split, vocabulary: Sequence[str] = ()) -> int:
    """CRC-32 of the shape, the values and the labels of a split, and of the words of its tokens."""
    value = zlib.crc32(repr([(name, a.shape, a.dtype.str) for name, a in split.arrays.items()]).encode())
    for array in split.arrays.values():
        stride = -(-array.nbytes // CHECKED_BYTES) or 1
        value = zlib.crc32(array[::stride].tobytes(), value)
    if vocabulary:
        value = zlib.crc32("\n".join(vocabulary).encode(), value)
    return value


def _max_value(splits: dict[str, Split]) -> float:
    """Return 255 for 8-bit pixels, 1 for floats and for 8-bit values of only 0 and 1, and the maximum of counts."""
    if greatest := max((int(s.x.max()) for s in splits.values() if s.x.dtype == np.int32 and s.x.size), default=0):
        return float(greatest)
    eight_bit = [s.x for s in splits.values() if s.x.dtype == np.uint8 and s.x.ndim]  # not yet checked
    # In slices: the search ends at the first one, unless the data is binary.
    slices = (x[i : i + 1024] for x in eight_bit for i in range(0, len(x), 1024))
    return 255.0 if any(part.size and part.max() > 1 for part in slices) else 1.0


def select(split: Split, rows: np.ndarray) -> Split:
    """Return some rows of a split; streamed images stay where they are."""
    if len(rows) == len(split.x):
        return split
    x: Any = split.x.select(rows) if isinstance(split.x, Rows) else split.x[rows]
    return Split(x, *(None if array is None else array[rows] for array in split[1:]))
