"""Encode a context that a user gives in their own terms: class names, numbers, lists, images, a file."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxvae.common.errors import UserError, unknown
from jaxvae.data import containers
from jaxvae.data.context import Field, parts
from jaxvae.data.incoming import stored_and_mask
from jaxvae.data.quadrants import pixels, region
from jaxvae.data.spec import FIXED, DataSpec

SHOWN = 10  # classes in a message


def wanted(spec: DataSpec, settings: Mapping[str, Any], given: Any) -> np.ndarray:
    """Encode contexts, `[M, C]` float32, as those of the training data were.

    Args:
      spec: of the run, whose `context` has the fields.
      settings: the section `data` of the run's config.
      given: of a single field a class (its name or number), a number, or a list of them. Of several fields a
        dictionary by name, or a list in the order of the fields; a list of lists has a row for each context. Of
        quadrants images as the training data came. Numbers `[M, C]` are used as they are. A string is a file (`.npz`
        with an array for each field, `.npy`), or "3", "cat,dog", or "shape=0,scale=2; shape=1,scale=2".

    Raises:
      UserError: an unknown class, a missing field, or another size; the message lists what there is.
    """
    fields = spec.context
    if not fields:
        raise UserError("A context was given, but the run is not conditional: it was trained without data.context.")
    is_file = isinstance(given, str) and given.endswith((".npz", ".npy"))  # whose other arrays are ignored
    if isinstance(given, str):
        given = _read(given) if is_file else _parsed(fields, given)
    names = {"x", *(field.name for field in fields)}
    others = [] if is_file or not isinstance(given, Mapping) else [str(name) for name in given if name not in names]
    if others:
        raise UserError(
            f"The context has '{others[0]}', but the run is not conditional on it: {described(fields)}. Leave it out."
        )
    if isinstance(given, Mapping) or hasattr(given, "columns"):
        keys = getattr(given, "column_names", getattr(given, "columns", given))  # of Arrow, of others
        columns = {str(key): given[key] for key in keys}
    else:
        try:
            array = np.asarray(given)
        except ValueError as error:
            raise UserError("The rows of the context have different lengths: give every field in each row.") from error
        if array.dtype.kind in "biuf" and array.ndim == 2 and array.shape[1] == spec.context_dim != len(fields):
            return _finite(array.astype(np.float32))
        columns = _by_field(fields, array)
    return _joined(fields, columns, lambda images: _stored(spec, settings, images))


def asked(config: Mapping[str, Any]) -> Any:
    """Return the contexts that the settings ask for, `sample.context` or `sample.attributes`; "" for none."""
    return config["sample"]["context"] or config["sample"].get("attributes", "")


def described(fields: Sequence[Field]) -> str:
    """Describe a context for messages: "label (0, 1, 2), scale (a number)"."""
    kinds = {"number": "a number", "total": "a sum of counts", "pixels": "of the image x"}

    def one(field: Field) -> str:
        if field.kind != "class":
            return kinds.get(field.kind, f"{field.size} numbers")
        more = f" and {field.size - SHOWN} more" if field.size > SHOWN + 1 else ""
        return ", ".join(field.classes[:SHOWN] if more else field.classes) + more

    return "; ".join(f"{field.name} ({one(field)})" for field in fields)


def said(fields: Sequence[Field], row: np.ndarray) -> str:
    """Describe an encoded context `[C]` in the user's terms: "label = 3, age = 40"."""

    def one(field: Field, part: np.ndarray) -> str:
        if field.kind == "class" and part.max() == part.sum() == 1:
            return f"{field.name} = {field.classes[int(part.argmax())]}"
        if field.kind == "total":
            return f"{field.name} = {np.exp(float(part[0]) * field.scale + field.shift):.4g}"
        if field.kind == "number":
            return f"{field.name} = {float(part[0]) * field.scale + field.shift:.4g}"
        return field.name if field.size > 4 else f"{field.name} = {', '.join(f'{value:.4g}' for value in part)}"

    return ", ".join(one(field, part[0]) for field, part in zip(fields, parts(fields, row[None]), strict=True))


def shown_contexts(fields: Sequence[Field], test: np.ndarray | None, num: int = 8) -> np.ndarray:
    """Return contexts for figures, `[M, C]`: every class of a single field, else the first `num` test examples'."""
    if len(fields) == 1 and fields[0].kind == "class":
        return np.eye(fields[0].size, dtype=np.float32)
    return np.zeros((0, sum(field.size for field in fields)), np.float32) if test is None else test[:num]


def with_pixels(spec: DataSpec, x: np.ndarray, context: np.ndarray | None) -> np.ndarray:
    """Write the quadrants in a context `[M, C]` into images `[M * num, *data_shape]` as `viewed`, `num` for each row.

    A model does not learn pixels of its context, so what it decodes there means nothing.
    """
    if context is None or all(field.kind != "pixels" for field in spec.context):
        return x
    x, rows = np.array(x), np.repeat(np.asarray(context), len(x) // len(context), axis=0)
    for field, part in zip(spec.context, parts(spec.context, rows), strict=True):
        if field.kind == "pixels":
            place = (slice(None), *region(field.name, x.shape[1:3]))
            x[place] = part.reshape(x[place].shape) * spec.greatest
    return x


def _by_field(fields: Sequence[Field], array: np.ndarray) -> dict[str, Any]:
    """Assign the values of an array to fields: all to a single one, else a column to each."""
    if all(field.kind == "pixels" for field in fields):
        return {"x": array}
    if len(fields) == 1:
        return {fields[0].name: array}
    rows = array[None] if array.ndim == 1 else array
    if rows.ndim != 2 or rows.shape[1] != len(fields):
        raise UserError(
            f"The context was given as {list(array.shape)} values; it has {len(fields)} fields: {described(fields)}. "
            "Give a dictionary by name, or a value for each in this order."
        )
    return {field.name: rows[:, i] for i, field in enumerate(fields)}


def _joined(fields: Sequence[Field], columns: Mapping[str, Any], stored: Callable[[Any], np.ndarray]) -> np.ndarray:
    encoded = []
    for field in fields:
        name = "x" if field.kind == "pixels" and "x" in columns else field.name
        if name not in columns:
            raise UserError(
                f"The context lacks '{name}'; it has {', '.join(columns) or 'nothing'}. The run is conditional on: "
                f"{described(fields)}."
            )
        encoded.append(_encoded(field, columns[name], stored))
    length = max(map(len, encoded))
    if wrong := [f"'{field.name}' {len(part)}" for field, part in zip(fields, encoded, strict=True)
                 if len(part) not in (1, length)]:  # fmt: skip
        raise UserError(f"The fields of a context need one length, here {length}, or 1: {', '.join(wrong)}.")
    return np.concatenate([np.broadcast_to(part, (length, part.shape[1])) for part in encoded], axis=1)


def _encoded(field: Field, value: Any, stored: Callable[[Any], np.ndarray]) -> np.ndarray:
    """Encode the values of one field, `[M, size]`."""
    if field.kind == "pixels":
        return field.encode(pixels(stored(value), field.name, 1.0))
    array = np.asarray(value)
    if field.kind == "array" and array.ndim < 2:
        array = array.reshape(1, -1)
    elif field.kind != "array":
        array = array.reshape(-1)
    if field.kind == "class":
        return field.encode(np.asarray([_class(field, each) for each in array.tolist()]))
    try:
        numbers = array.astype(np.float32)
    except (ValueError, TypeError) as error:
        raise UserError(f"The context '{field.name}' takes numbers, not {array.ravel().tolist()[0]!r}.") from error
    return field.encode(numbers)


def _class(field: Field, given: Any) -> Any:
    """Find the stored value of a class by its name, or by its value."""
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    text = str(given).strip()
    are_numbers = field.names and all(name.lstrip("-").isdigit() for name in field.names)
    for known in (field.classes, () if are_numbers else tuple(map(str, field.values))):
        if text in known:
            return field.values[known.index(text)]
    raise unknown("class", text, field.classes, f"the context '{field.name}'")


def _stored(spec: DataSpec, settings: Mapping[str, Any], images: Any) -> np.ndarray:
    """Return images in [0, 1], binarised as those of the training data; NaN, outside the context, stays NaN."""
    greatest = 1.0 if settings["binarization"] in FIXED else spec.max_value
    stored, mask = stored_and_mask(spec, settings, images)
    x = np.asarray(stored, np.float32) / np.float32(greatest)
    return x if mask is None else np.where(mask, x, np.nan)


def _read(path: str) -> Any:
    place = Path(path).expanduser()
    if not place.exists():
        raise UserError(f"The context '{path}' does not exist.")
    arrays = containers.read(place, place.suffix)[0]
    return arrays["x"] if place.suffix == ".npy" else arrays


def _parsed(fields: Sequence[Field], text: str) -> Any:
    """Parse "3", "cat,dog", "0.5,1.5" of a single field; "shape=0,scale=2; shape=1,scale=2" of several."""
    rows = [[each.strip() for each in row.split(",")] for row in text.split(";")]
    if all("=" in each for row in rows for each in row):
        halves = [[each.partition("=") for each in row] for row in rows]
        pairs = [{name.strip(): value.strip() for name, _, value in row} for row in halves]
        names = dict.fromkeys(name for row in pairs for name in row)
        if any(row.keys() != pairs[0].keys() for row in pairs):
            raise UserError(f"The contexts of '{text}' do not all have the same fields.")
        return {name: [row[name] for row in pairs] for name in names}
    if len(fields) == 1 and fields[0].kind in ("class", "number", "total"):
        return [each for row in rows for each in row]
    if len({len(row) for row in rows}) > 1:
        raise UserError(f"The contexts of '{text}' do not all have the same number of values.")
    return rows


def _finite(array: np.ndarray) -> np.ndarray:
    if not np.isfinite(array).all():
        raise UserError("The context holds values that are NaN or infinite.")
    return array.astype(np.float32)
