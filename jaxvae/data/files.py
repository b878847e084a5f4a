"""Data of users: an .npz or .npy file, or a folder of images. Nothing here unpickles."""

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.places import check_own
from jaxvae.data import folders
from jaxvae.data.resize import resize
from jaxvae.data.split import Split

SPLIT_NAMES = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}
DATA_NAMES = ("x", "X", "images", "image", "data")
LABEL_NAMES = ("y", "labels", "label", "targets", "target")
FACTOR_NAMES = ("factors",)
BESIDE = (LABEL_NAMES, FACTOR_NAMES, ("context",), ("mask",))  # in the order of the fields of a Split


def read(
    path: Path, image_size: int = 0, stream: bool = False, cache_dir: str = ""
) -> tuple[dict[str, Split], tuple[str, ...]]:
    """Read the splits and the names of their factors, if any; a single array or a folder is all "train".

    With `stream`, the images of a folder stay there, as in `folders.read`.

    Raises:
      UserError: the path is missing, unreadable, or holds no data of a known form.
    """
    check_own(path)
    if path.is_dir():
        return {"train": folders.read(path, image_size, stream, cache_dir)}, ()
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            arrays = {"x": loaded} if path.suffix == ".npy" else {key: loaded[key] for key in loaded.files}
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError("its format does not match its name")
    except Exception as error:  # zip, header and pickle errors are all of different types
        # NumPy's own message would advise allowing pickles.
        reason = error.strerror if isinstance(error, OSError) else type(error).__name__
        raise UserError(
            f"'{path}' cannot be read as plain arrays (objects and pickles are refused): {reason}."
        ) from error
    return from_arrays(arrays, str(path), image_size)


def from_arrays(
    arrays: Mapping[str, np.ndarray], source: str, image_size: int = 0
) -> tuple[dict[str, Split], tuple[str, ...]]:
    """Find the splits among named arrays, as in an `.npz` file, and the names of their factors.

    Args:
      arrays: "x" and "y", or "x_train", "x_test" and so on: see docs/data.md.
      source: where the arrays come from, for messages.
      image_size: as in `resize`.

    Raises:
      UserError: no array has a name of data.
    """
    arrays = dict(arrays)
    names = _names(arrays.pop("factor_names", None), source)
    splits = _by_split(arrays, source)
    return {key: _prepared(split, image_size) for key, split in splits.items()}, names


def _prepared(split: Split, image_size: int) -> Split:
    x, context, mask = resize(_pixels(split.x), image_size), split.context, split.mask
    if context is not None and context.dtype.kind in "fiu":
        context = context.astype(np.float32)
    if mask is not None and mask.ndim == 3 and x.ndim == 4:
        mask = mask[..., None]  # as the images
    return split._replace(x=x, context=context, mask=mask)


def _names(array: np.ndarray | None, source: str) -> tuple[str, ...]:
    if array is None:
        return ()
    if array.ndim != 1 or array.dtype.kind != "U":
        raise UserError(f"'factor_names' in '{source}' is {array.dtype} {array.shape}; it must be a list of strings.")
    return tuple(map(str, array))


def _by_split(arrays: dict[str, np.ndarray], source: str) -> dict[str, Split]:
    found = {}
    for split, spellings in SPLIT_NAMES.items():
        for s in spellings:
            x = _first(arrays, [s, *(form for n in DATA_NAMES for form in (f"{n}_{s}", f"{s}_{n}"))])
            beside = [_first(arrays, [form for n in names for form in (f"{n}_{s}", f"{s}_{n}")]) for names in BESIDE]
            if x is not None:
                found[split] = Split(x, *beside)
    if "train" in found:
        return found
    beside = [_first(arrays, names) for names in BESIDE]
    x = _first(arrays, DATA_NAMES)
    if found and x is not None:
        return {"train": Split(x, *beside), **found}
    if x is None and not found:
        others = [a for key, a in arrays.items() if key not in itertools.chain(*BESIDE) and a.ndim >= 2]
        x = others[0] if len(others) == 1 else None
    if x is None:
        listed = ", ".join(f"{key} {a.shape}" for key, a in arrays.items()) or "nothing"
        raise UserError(
            f"'{source}' holds {listed}. Name the data 'x' (and labels 'y'), or 'x_train', 'x_test' and so on."
        )
    return {"train": Split(x, *beside)}


def _first(arrays: dict[str, np.ndarray], names) -> np.ndarray | None:
    return next((arrays[name] for name in names if name in arrays), None)


def _pixels(x: np.ndarray) -> np.ndarray:
    """Convert to uint8, float32 or int32, with a channel axis for images; later checks refuse other types."""
    if x.dtype == np.uint8:
        pass  # checking the values would read all of them
    elif x.dtype == np.bool_ or (x.dtype.kind in "iu" and x.size and x.min() >= 0 and x.max() <= 255):
        x = x.astype(np.uint8)
    elif x.dtype.kind in "iu" and x.size and abs(x).max() < 2**24:  # exact in float32
        x = x.astype(np.int32)
    elif x.dtype.kind == "f":
        with np.errstate(over="ignore"):  # becomes infinite, and is then refused
            x = x.astype(np.float32)
    return x[..., None] if x.ndim == 3 else x
