"""Read named arrays from `.npz`, `.npy`, MATLAB and HDF5 files, and from a folder of `.npy` files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from jaxvae.common.errors import UserError, first_line
from jaxvae.common.optional import require
from jaxvae.data.split import SPLIT_NAMES

Arrays = dict[str, np.ndarray]
HDF5 = (".h5", ".hdf5")


def read(path: Path, suffix: str) -> tuple[Arrays, tuple[str, ...]]:
    """Read the arrays of a file, or of a folder, by name; the notes name what is not an array of numbers or strings.

    Raises:
      UserError: the file cannot be read, or a package that it needs is missing.
    """
    if path.is_dir():
        found: dict[str, Any] = _folder(path)
    else:
        try:
            found = READERS.get(suffix, _numpy)(path)
        except UserError:
            raise
        except Exception as error:  # zip, header and pickle errors are all of different types
            # NumPy's own message would advise allowing pickles.
            is_numpy = READERS.get(suffix, _numpy) is _numpy
            reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
            raise UserError(
                f"'{path}' cannot be read as plain arrays (objects and pickles are refused): {reason}"
                f"{'' if is_numpy else f', {first_line(error)}'}."
            ) from error
    arrays = {key: a for key, a in found.items() if isinstance(a, np.ndarray) and a.dtype.kind in "biufcUS"}
    others = ", ".join(f"'{key}'" for key in found if key not in arrays)
    notes = (f"'{path}': not arrays of numbers or strings, and not used: {others}",) if others else ()
    return arrays, notes


def holds_arrays(folder: Path) -> bool:
    """Return whether there are `.npy` files in a folder or its subfolders."""
    return next(folder.rglob("*.npy"), None) is not None


def _numpy(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        loaded = np.load(file, allow_pickle=False)
        arrays = {"x": loaded} if path.suffix.lower() == ".npy" else {key: loaded[key] for key in loaded.files}
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise ValueError("its format does not match its name")
    return arrays


def _mat(path: Path) -> dict[str, Any]:
    try:
        loaded = require("scipy.io").loadmat(path)
    except NotImplementedError:  # version 7.3 is HDF5, with the axes in reverse order
        return {key: a.T if isinstance(a, np.ndarray) else a for key, a in _hdf5(path).items()}
    dense = {key: a.toarray() if hasattr(a, "toarray") else a for key, a in loaded.items()}
    return {key: a for key, a in dense.items() if not key.startswith("__")}


def _hdf5(path: Path) -> dict[str, Any]:
    h5py, found = require("h5py"), {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("#"):  # MATLAB's references
            found[name] = item.asstr()[...] if h5py.check_string_dtype(item.dtype) else item[...]

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    # Strings of HDF5 come as objects.
    return {key: a.astype(str) if isinstance(a, np.ndarray) and a.dtype.kind == "O" else a for key, a in found.items()}


def _folder(path: Path) -> Arrays:
    """Read the `.npy` files of a folder: named arrays "x", "y", "x_train" ..., or one example in each file.

    Examples are in the order of their names; those of several subfolders have the folders' names as labels.
    """
    names = sorted(path.rglob("*.npy"))
    arrays = {}
    for name in names:
        arrays[name] = read(name, ".npy")[0].get("x")
        if arrays[name] is None:
            raise UserError(f"'{name}' holds no numbers. A folder of arrays needs .npy files of numbers alone.")
    stems = {name.stem: a for name, a in arrays.items()}
    spellings = [s for every in SPLIT_NAMES.values() for s in every]
    named = {"x", "X", "data", "images", *(form for s in spellings for form in (s, f"x_{s}", f"X_{s}"))}
    if named & stems.keys():
        return stems
    if len({(a.shape, a.dtype) for a in arrays.values()}) > 1:
        some = " and ".join(f"'{n.relative_to(path)}' is {a.dtype} {a.shape}" for n, a in list(arrays.items())[:2])
        raise UserError(
            f"The arrays in '{path}' differ in shape or type: {some}. Give one array of each example, all alike, or "
            "name the files x.npy and y.npy, or x_train.npy, x_test.npy and so on."
        )
    folders = [str(name.parent.relative_to(path)) for name in names]
    labels = {"y": np.array(folders)} if len(set(folders)) > 1 else {}
    return {"x": np.stack(list(arrays.values())), **labels}


READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".npz": _numpy, ".npy": _numpy, ".mat": _mat, **dict.fromkeys(HDF5, _hdf5),
}  # fmt: skip
