"""Take data as it came: as a data set to train on, or checked against what a run was trained on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.places import IN_MEMORY
from jaxvae.common.sequences import PADDING
from jaxvae.data import annotated, tables
from jaxvae.data.checks import where_not_finite
from jaxvae.data.column_encoding import encode_like
from jaxvae.data.in_memory import as_array, found_in
from jaxvae.data.kinds import load_data, load_table
from jaxvae.data.load import prepare_found
from jaxvae.data.preprocess import binarize
from jaxvae.data.resize import resize
from jaxvae.data.spec import FIXED, DataSpec
from jaxvae.data.split import SPLIT_NAMES, Dataset
from jaxvae.data.vocabulary import Vocabulary


def as_dataset(x: Any, settings: Mapping[str, Any], name: str = IN_MEMORY) -> Dataset:
    """Make a data set of what a user has.

    Args:
      x: an array `[N, ...]` or a list of examples; a dictionary of arrays, as in an `.npz` file, some of which may be
        data frames; a data frame of pandas, Polars or Arrow; an `AnnData`; a `Dataset`, returned unchanged; or a string
        or path: a file or folder where it exists, else the name of a data set.
      settings: the section `data` of a config.
      name: of the data set, where x has none.

    Raises:
      UserError: x is not usable data, or a setting does not fit it.
    """
    if isinstance(x, Dataset):
        return x
    if isinstance(x, (str, Path)):
        where = {"path": str(x)} if Path(x).expanduser().exists() else {"name": str(x), "path": ""}
        return load_data({**settings, **where})
    if settings.get("kind") == "table":
        splits = frames(x)
        return load_table({**settings, "name": name}, splits.pop("train"), splits)
    how = settings["validation_fraction"], settings["binarization"]
    return prepare_found(name, found_in(x, settings, name), *how)


def frames(x: Any) -> dict[str, Any]:
    """Return the data frames of a table's splits, at least "train", of one, or of "x_train", "x_test" and so on.

    Raises:
      UserError: x is anything else.
    """
    given = {"x_train": x} if tables.is_table(x) else x if isinstance(x, Mapping) else {}
    found = {
        split: given[f"x_{name}"] for split, names in SPLIT_NAMES.items() for name in names if f"x_{name}" in given
    }
    if "train" not in found or len(found) < len(given) or not all(map(tables.is_table, found.values())):
        raise UserError(
            f"data.kind is 'table', but the data is a {type(x).__name__}: give a data frame, a file, or data frames "
            "{'x_train': ..., 'x_test': ...}."
        )
    return found


def as_stored(spec: DataSpec, settings: Mapping[str, Any], x: Any) -> np.ndarray:
    """Check data against what a run was trained on, and convert it to the form that its preprocessing takes.

    Args:
      spec: of the run.
      settings: the section `data` of the run's config.
      x: data as the training data came: an array or list `[N, ...]`, images with or without a channel axis, a data
        frame with the columns of the training data (others are ignored), an `AnnData`, or a list of sentences.

    Returns:
      `[N, *spec.shape]`, uint8, int32 or float32.

    Raises:
      UserError: another shape, type or range, missing values or columns; the message says what was expected.
    """
    stored, mask = stored_and_mask(spec, settings, x)
    if mask is not None:
        places = np.where(mask, np.float32(0.0), np.float32(np.nan))
        raise UserError(
            f"The data holds {int((~mask).sum())} values that are NaN, {where_not_finite(places, spec.columns)}; the "
            "run was trained on data without missing values."
        )
    return stored


def stored_and_mask(
    spec: DataSpec, settings: Mapping[str, Any], x: Any, binarized: bool = True
) -> tuple[np.ndarray, np.ndarray | None]:
    """Convert data like `as_stored`, where NaN is a missing value; without `data.binarization` if not `binarized`.

    The mask is bool of its shape, True where a value is observed, None where none is NaN; missing values are 0.

    Raises:
      UserError: see `as_stored`.
    """
    if spec.sequence:
        return _sequences(spec, settings, x), None
    found = _columns(spec, x)
    if found.dtype.kind not in "biuf":
        raise UserError(f"The data has type {found.dtype}; {_expected(spec)}.")
    if found.ndim == len(spec.shape) and len(spec.shape) == 3:
        found = found[..., None]
    if settings["image_size"] and found.ndim == 4:
        found = resize(found, settings["image_size"])
    if found.ndim != 1 + len(spec.shape) or found.shape[1:] != spec.shape:
        one = " A single example needs a first axis: x[None]." if found.shape in (spec.shape, spec.shape[:-1]) else ""
        raise UserError(f"The data has shape {found.shape}; {_expected(spec)}.{one}")
    if not spec.dtype:
        raise UserError(
            "The run was trained by an earlier version, which did not record how its data was prepared. Train it "
            "again, or preprocess the data yourself and use jaxvae.restore."
        )
    mask = ~np.isnan(found) if found.dtype.kind == "f" else None
    if mask is None or mask.all():
        mask = None
    else:
        found = np.where(mask, found, found.dtype.type(0))
    stored = _floats(spec, found) if spec.takes_floats else _whole(spec, settings, found)
    mode = settings["binarization"] if binarized else "none"
    return binarize(stored, spec.max_value, mode)[0] if mode in FIXED else stored, mask


def _expected(spec: DataSpec) -> str:
    kind = (
        "real values" if spec.takes_floats and spec.is_real
        else "floats in [0, 1]" if spec.takes_floats
        else f"whole numbers from 0 to {spec.max_value:g}"
    )  # fmt: skip
    of = f" (columns {', '.join(spec.columns[:10])}{' ...' if len(spec.columns) > 10 else ''})" if spec.columns else ""
    return f"the run was trained on {kind} of shape [N, {', '.join(map(str, spec.shape))}]{of}"


def _columns(spec: DataSpec, x: Any) -> np.ndarray:
    if annotated.is_annotated(x):
        names = list(map(str, x.var_names))
        if missing := [name for name in spec.columns if name not in names]:
            raise UserError(
                f"The data lacks {len(missing)} of the {len(spec.columns)} variables that the run was trained on: "
                f"{', '.join(missing[:10])}."
            )
        return annotated.matrix(x[:, list(spec.columns)] if spec.columns else x)
    if tables.is_table(x) and spec.table:
        return encode_like(spec.table, x, "x")
    if tables.is_table(x) and hasattr(x, "columns"):
        return tables.columns_of(x, spec.columns, "x") if spec.columns else np.asarray(x)
    return as_array(x)


def _floats(spec: DataSpec, x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        x = x.astype(np.float32)
    if bad := int(x.size - np.isfinite(x).sum()):
        raise UserError(f"The data holds {bad} infinite values, {where_not_finite(x, spec.columns)}.")
    if not spec.is_real and x.size and (x.min() < 0 or x.max() > 1):
        raise UserError(f"The data holds values from {x.min():.4g} to {x.max():.4g}; {_expected(spec)}.")
    return x


def _whole(spec: DataSpec, settings: Mapping[str, Any], x: np.ndarray) -> np.ndarray:
    """Convert to whole numbers, or to floats where these are scaled.

    Pixels between whole numbers, as a run returns them, are rounded, but images in [0, 1] are refused where the run's
    are in [0, 255]. Counts must be whole: their logarithms, say, would look like counts.
    """
    greatest, least = (float(x.max()), float(x.min())) if x.size else (0.0, 0.0)
    is_whole = x.dtype.kind != "f" or bool((x == np.rint(x)).all())
    # Unlike those of pixels, the greatest count of the training data bounds no others.
    bound = spec.max_value if spec.has_bound(settings) else np.inf
    are_counts = not settings["pixel_range"] and not spec.scale
    fits = is_whole if are_counts else x.dtype.kind != "f" or not 0 < greatest <= 1 < spec.max_value
    if not fits or least < 0 or greatest > bound:
        kind = "values" if fits else "floats"
        hint = " Round means of counts first, numpy.rint(x)." if are_counts and not fits and greatest > 1 else ""
        raise UserError(f"The data holds {kind} from {least:.4g} to {greatest:.4g}; {_expected(spec)}.{hint}")
    if is_whole:
        return x.astype("int32" if greatest > spec.max_value else spec.dtype)  # 300 where the run's counts are bytes
    return x.astype(np.float32) if spec.scale else np.rint(x).astype(spec.dtype)


def _sequences(spec: DataSpec, settings: Mapping[str, Any], x: Any) -> np.ndarray:
    if spec.sequence == "text" and not hasattr(x, "dtype") and all(isinstance(one, str) for one in x):
        words, length = Vocabulary(spec.vocabulary, settings["sequence"]["unit"]), spec.shape[0]
        rows = [words.encode(sentence) for sentence in x]
        if longest := max((len(row) for row in rows if len(row) > length), default=0):
            raise UserError(
                f"A sentence has {longest - 1} tokens; the run was trained on sentences of at most {length - 1}."
            )
        stored = np.full((len(rows), length), PADDING, np.int32)
        for row, tokens in zip(stored, rows, strict=True):
            row[: len(tokens)] = tokens
        return stored
    found, greatest = as_array(x), spec.max_value or spec.levels - 1
    if found.dtype.kind not in "iu" or found.ndim != 1 + len(spec.shape) or found.shape[1:] != spec.shape:
        raise UserError(
            f"The data is {found.dtype} of shape {found.shape}; the run was trained on {spec.sequence}, whole numbers "
            f"of shape [N, {', '.join(map(str, spec.shape))}], padded with {PADDING}"
            f"{', or a list of sentences' if spec.sequence == 'text' else ''}."
        )
    if found.size and (found.min() < PADDING or found.max() > greatest):
        raise UserError(
            f"The data holds numbers from {found.min()} to {found.max()}; the run was trained on numbers from 0 to "
            f"{greatest:g}, padded with {PADDING}."
        )
    return found.astype(np.int32)
