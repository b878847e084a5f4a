"""Read named arrays from `.npz` and `.safetensors` files, without running any code that they may hold."""

import json
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.lib.npyio import NpzFile

from jaxvae.common.errors import UserError, first_line
from jaxvae.common.files import check_regular

# Types of floats in the safetensors format; other arrays, of whole numbers, are left out.
FLOATS = {"F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype(ml_dtypes.bfloat16)}
MOST_HEADER = 100_000_000  # bytes, the limit of the format


def read_tensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read all arrays of floats in a file as float32, by name.

    Args:
      path: an `.npz` of NumPy, or a `.safetensors`: the length of a JSON header in 8 bytes, the header with type, shape
        and place of each array, then their bytes.

    Raises:
      UserError: the file has another ending, cannot be read, or holds no array of finite floats alone.
    """
    file = Path(path).expanduser()
    readers = {".npz": _npz, ".safetensors": _safetensors}
    if file.suffix not in readers:
        raise UserError(f"The weights '{path}' must be an .npz or a .safetensors file.")
    try:
        check_regular(file)
        arrays = readers[file.suffix](file)
    except (
        OSError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        EOFError,
        RecursionError,
        zipfile.BadZipFile,
    ) as error:
        raise UserError(
            f"The weights '{path}' cannot be read ({type(error).__name__}: {first_line(error)})."
        ) from error
    found = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
    if wrong := [name for name, array in found.items() if not np.isfinite(array).all()]:
        raise UserError(f"The weights '{path}' hold values in '{wrong[0]}' that are not finite.")
    if not found:
        raise UserError(f"The weights '{path}' hold no arrays of floats.")
    return found


def _npz(file: Path) -> dict[str, Any]:
    # Opened here, because NumPy leaves a damaged archive open.
    with file.open("rb") as raw, np.load(raw, allow_pickle=False) as found:
        if not isinstance(found, NpzFile):
            raise ValueError("it is a single array without a name")
        arrays = {name: found[name] for name in found}
    return {name: array for name, array in arrays.items() if array.dtype.kind == "f"}


def _safetensors(file: Path) -> dict[str, Any]:
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(len(content) - 8, MOST_HEADER):
        raise ValueError("its header is longer than the file")
    header, data = json.loads(content[8 : 8 + length]), memoryview(content)[8 + length :]
    arrays = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] not in FLOATS:
            continue
        dtype, shape, (start, end) = FLOATS[entry["dtype"]], entry["shape"], entry["data_offsets"]
        if not 0 <= start <= end <= len(data) or end - start != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"the bytes of '{name}' do not fit its shape {shape}")
        arrays[name] = np.frombuffer(data[start:end], dtype).reshape(shape)
    return arrays
