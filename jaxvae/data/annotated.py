"""Annotated matrices of the package anndata: `.h5ad` files and `AnnData` objects, such as gene expression."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxvae.common.errors import UserError, first_line, unknown
from jaxvae.common.optional import require
from jaxvae.data.labels import are_classes, require_classes
from jaxvae.data.split import LABEL_NAMES, Found, Split, beside


def is_annotated(x: Any) -> bool:
    """Return whether an object is an `AnnData`: a matrix X with annotations of rows and columns."""
    return all(hasattr(x, name) for name in ("X", "obs", "var_names"))


def read(path: Path, label: str = "", context: Sequence[str] = ()) -> Found:
    """Read an `.h5ad` file, see `from_annotated`.

    Raises:
      UserError: the file cannot be read, the package anndata is missing, or see `from_annotated`.
    """
    anndata = require("anndata")
    try:
        annotated = anndata.read_h5ad(path)
    except Exception as error:  # HDF5's and anndata's errors have many types
        raise UserError(f"'{path}' cannot be read by anndata: {first_line(error)}.") from error
    return from_annotated(annotated, str(path), label, context)


def from_annotated(annotated: Any, source: str, label: str = "", context: Sequence[str] = ()) -> Found:
    """Take the matrix X, dense or sparse, as data, and an annotation of its rows as labels.

    Floats that are all whole numbers from 0 on become counts.

    Args:
      annotated: an `AnnData` object.
      source: its name, for messages.
      label: key of `obs`; "" for one with a usual name and whole numbers or text, if there is one.
      context: keys of `obs` that are kept beside x.

    Raises:
      UserError: no X, no such annotation, or labels that are real values.
    """
    if annotated.X is None:
        raise UserError(f"'{source}' has no matrix X. Copy a layer there: adata.X = adata.layers['counts'].")
    keys = list(map(str, annotated.obs.columns))
    if label and label not in keys:
        raise unknown("annotation", label, keys, f"'{source}', for data.label")
    if label:
        require_classes(annotated.obs[label], label, source)
    label = label or next((key for key in LABEL_NAMES if key in keys and are_classes(annotated.obs[key])), "")
    if unmet := [name for name in context if name not in keys]:
        raise unknown("annotation", unmet[0], keys, f"data.context in '{source}'")

    def values(name: str) -> np.ndarray:
        column = annotated.obs[name]
        if missing := int(column.isna().sum()):
            raise UserError(f"The annotation '{name}' of '{source}' lacks {missing} values. Remove these rows.")
        return np.array(column.tolist())

    unused = [f"obs '{key}'" for key in keys if key != label and key not in context] + [
        f"layer '{key}'" for key in annotated.layers
    ]
    note = f"'{source}': x is X {list(annotated.shape)}{label and f', labels are obs {label!r}'}"
    note += f"; the context is {', '.join(map(repr, context))}" if context else ""
    note += f"; not used: {', '.join(unused)}" if unused else ""
    columns = tuple(map(str, annotated.var_names))
    y, own = values(label) if label else None, beside({name: values(name) for name in context})
    split = Split(matrix(annotated), y, beside=own, names=np.array(list(map(str, annotated.obs_names))))
    return Found({"train": split}, columns=columns, notes=(note,))


def matrix(annotated: Any) -> np.ndarray:
    """Return X as a dense array; floats that are all whole numbers from 0 on become int32."""
    x = annotated.X.toarray() if hasattr(annotated.X, "toarray") else np.asarray(annotated.X)
    values = x.dtype.kind == "f" and x.size and np.isfinite(x).all() and x.min() >= 0 and x.max() < 2**24
    return x.astype(np.int32) if values and (x == np.rint(x)).all() else x
