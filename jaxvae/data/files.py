"""Data of users: a file or a folder of arrays, a table, or a folder of images. Nothing here unpickles."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.places import SUFFIXES, check_own
from jaxvae.data import annotated, containers, folders, tables
from jaxvae.data.labels import encode_labels
from jaxvae.data.resize import resize
from jaxvae.data.split import LABEL_NAMES, SPLIT_NAMES, Found, Split, beside

DATA_NAMES = ("x", "X", "images", "image", "data")
BESIDE = (LABEL_NAMES, ("factors",), ("context",), ("mask",))  # in the order of the fields of a Split
ROW_NAMES = "row_names"


def read(
    path: Path,
    image_size: int = 0,
    stream: bool = False,
    cache_dir: str = "",
    label: str = "",
    context: Sequence[str] = (),
) -> Found:
    """Read the splits of a file or folder; a single array, a table or a folder of images is all "train".

    Args:
      path: an `.npz`, `.npy`, `.mat` or HDF5 file or a folder of `.npy` files, see `from_arrays`; a table, `.csv`,
        `.tsv` or `.parquet`, see `tables.from_table`; an `.h5ad` file; or a folder of images.
      image_size: as in `resize`.
      stream: leave the images of a folder there, as in `folders.read`.
      cache_dir: as in `folders.read`.
      label: name of the array, column or annotation that holds the labels; "" for the usual names.
      context: names of arrays, columns or annotations that are kept beside x.

    Raises:
      UserError: the path is missing, unreadable, or holds no data of a known form; or there is no such name.
    """
    check_own(path)
    suffix = next((end for end in SUFFIXES["images"] if path.name.lower().endswith(end)), "")
    if path.is_dir() and not containers.holds_arrays(path):
        if label:
            raise UserError(
                f"data.label is '{label}', but '{path}' is a folder of images, whose labels are its subfolders. Leave "
                "data.label empty."
            )
        if context:
            raise unknown("context", context[0], ("label",), f"the folder of images '{path}', in data.context")
        return folders.read(path, image_size, stream, cache_dir)
    if suffix in tables.SUFFIXES:
        return finished(tables.read(path, suffix, label, context), str(path), image_size)
    if suffix == ".h5ad":
        return finished(annotated.read(path, label, context), str(path), image_size)
    arrays, notes = containers.read(path, suffix)
    found = from_arrays(arrays, str(path), image_size, label, context)
    return found._replace(notes=(*notes, *found.notes))


def examples(path: Path, image_size: int = 0) -> np.ndarray:
    """Read the examples of a file or folder without splits, with NaN where its mask is False.

    Raises:
      UserError: see `read`; there are several splits, or columns with names, whose order may differ.
    """
    found = read(path, image_size)
    if len(found.splits) > 1 or found.columns:
        what = "named columns" if found.columns else f"the splits {', '.join(found.splits)}"
        raise UserError(f"'{path}' holds {what}: read the file, and give the data itself.")
    (split,) = found.splits.values()
    return split.x if split.mask is None else np.where(split.mask, split.x, np.nan)


def from_arrays(
    arrays: Mapping[str, np.ndarray],
    source: str,
    image_size: int = 0,
    label: str = "",
    context: Sequence[str] = (),
) -> Found:
    """Find the splits among named arrays, as in an `.npz` file, and the names of their factors.

    Args:
      arrays: "x" and "y", or "x_train", "x_test" and so on: see docs/data.md.
      source: where the arrays come from, for messages.
      image_size: as in `resize`.
      label: name of the array of labels; "" for the usual names.
      context: names of arrays that are kept beside x; names of factors are left out.

    Raises:
      UserError: no array has a name of data, or the labels or the context do not exist.
    """
    arrays = dict(arrays)
    names = _names(arrays.pop("factor_names", None), source)
    chooser = _Chooser(arrays, label, [name for name in context if name not in names])
    splits = chooser.splits(source)
    if label and all(split.label is None for split in splits.values()):
        others = [key for key in arrays if key not in chooser.data]
        raise unknown("array", label, others, f"'{source}', for data.label")
    if missing := chooser.missing(splits):
        others = [key for key in arrays if key not in chooser.data]
        raise unknown("array", missing[0], others, f"data.context in '{source}'")
    return finished(Found(splits, names, notes=chooser.notes(source)), source, image_size)


def finished(found: Found, source: str, image_size: int) -> Found:
    """Convert the arrays of a source to their stored types, and string labels to integers."""
    splits, class_names = encode_labels(found.splits, source)
    stored = _stored({key: split.x for key, split in splits.items()})
    splits = {key: _prepared(split, stored[key], image_size) for key, split in splits.items()}
    return found._replace(splits=splits, class_names=class_names)


class _Chooser:
    """Choose arrays by their names, and remember which were used."""

    def __init__(self, arrays: Mapping[str, np.ndarray], label: str, context: Sequence[str]) -> None:
        self._arrays, self._is_named, self._context = arrays, bool(label or context), context
        self._beside = ((label,) if label else LABEL_NAMES, *BESIDE[1:])
        self._guessed = ""
        self._used: set[str] = set()
        self.data: set[str] = set()

    def splits(self, source: str) -> dict[str, Split]:
        found = {}
        for split, spellings in SPLIT_NAMES.items():
            for s in spellings:
                x = self._data([s, *(form for n in DATA_NAMES for form in (f"{n}_{s}", f"{s}_{n}"))])
                if x is not None:
                    forms = [[form for n in names for form in (f"{n}_{s}", f"{s}_{n}")] for names in self._beside]
                    own = {n: self._first((f"{n}_{s}", f"{s}_{n}")) for n in self._context}
                    names = self._first((f"{ROW_NAMES}_{s}", f"{s}_{ROW_NAMES}"))
                    found[split] = Split(x, *map(self._first, forms))._replace(beside=_beside(own), names=names)
        if "train" in found:
            return found
        x = self._data(DATA_NAMES)
        if x is None and not found:
            x = self._data(self._other())
        if x is None:
            listed = ", ".join(f"{key} {a.shape}" for key, a in self._arrays.items()) or "nothing"
            raise UserError(
                f"'{source}' holds {listed}. Name the data 'x' (and labels 'y'), or 'x_train', 'x_test' and so on."
            )
        own = _beside({name: self._first((name,)) for name in self._context})
        whole = Split(x, *map(self._first, self._beside))
        return {"train": whole._replace(beside=own, names=self._first((ROW_NAMES,))), **found}

    def missing(self, splits: Mapping[str, Split]) -> list[str]:
        """Return the names of the context that not every split has; default names of factors are left out."""
        there = [() if s.beside is None else s.beside.dtype.names or () for s in splits.values()]
        factors = splits["train"].factors
        known = [f"factor_{i}" for i in range(0 if factors is None or factors.ndim != 2 else factors.shape[1])]
        return [name for name in self._context if name not in known and not all(name in names for names in there)]

    def notes(self, source: str) -> tuple[str, ...]:
        """Say which arrays were used, unless all have the usual names."""
        unused = [f"'{key}' {list(a.shape)}" for key, a in self._arrays.items() if key not in self._used]
        if not (unused or self._guessed or self._is_named):
            return ()
        x = ", ".join(f"'{key}' {list(self._arrays[key].shape)}" for key in sorted(self.data))
        beside = ", ".join(f"'{key}'" for key in sorted(self._used - self.data))
        note = f"'{source}': x is {x}" + (f"; with it {beside}" if beside else "")
        return (note + (f"; not used: {', '.join(unused)}" if unused else ""),)

    def _other(self) -> list[str]:
        """Return the only array that can be data, if there is one: not a vector, and not of another name's kind."""
        known = {name for names in (*BESIDE, *self._beside, (ROW_NAMES,)) for name in names}
        arrays = {key: a for key, a in self._arrays.items() if key not in known and a.ndim >= 2}
        wide = [key for key, a in arrays.items() if a.ndim > 2 or 1 not in a.shape]
        names = wide if len(wide) == 1 else list(arrays)
        self._guessed = names[0] if len(names) == 1 else ""
        return names if len(names) == 1 else []

    def _data(self, names: Sequence[str]) -> np.ndarray | None:
        before = set(self._used)
        x = self._first(names)
        self.data |= self._used - before
        return x

    def _first(self, names: Sequence[str]) -> np.ndarray | None:
        name = next((name for name in names if name in self._arrays), None)
        if name is None:
            return None
        self._used.add(name)
        return self._arrays[name]


def _beside(arrays: Mapping[str, np.ndarray | None]) -> np.ndarray | None:
    return beside({name: array for name, array in arrays.items() if array is not None})


def _prepared(split: Split, x: np.ndarray, image_size: int) -> Split:
    x, context, mask = resize(x, image_size), split.context, split.mask
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


def _stored(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Convert to uint8, float32 or int32, with a channel axis for images; later checks refuse other types.

    Whole numbers get one type in all splits: uint8, else int32, else float32 where one is negative.
    """
    kinds = {key: _kind(x) for key, x in arrays.items()}
    if all(x.dtype.kind in "biu" for x in arrays.values()):
        for widest in (np.float32, np.int32):
            if widest in kinds.values():
                kinds = {key: kind and widest for key, kind in kinds.items()}
                break
    with np.errstate(over="ignore"):  # becomes infinite, and is then refused
        stored = {key: x if kinds[key] in (None, x.dtype) else x.astype(kinds[key]) for key, x in arrays.items()}
    return {key: x[..., None] if x.ndim == 3 else x for key, x in stored.items()}


def _kind(x: np.ndarray) -> Any:
    if x.dtype in (np.uint8, np.bool_):
        return np.uint8  # checking the values would read all of them
    if x.dtype.kind in "iu" and x.size:
        least, greatest = x.min(), x.max()
        if least >= 0 and greatest <= 255:
            return np.uint8
        if max(abs(int(least)), abs(int(greatest))) < 2**24:  # exact in float32
            return np.float32 if least < 0 else np.int32
    return np.float32 if x.dtype.kind == "f" else None
