"""The context of a conditional model: which facts about an example it is made of, and how they become numbers."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxvae.common.errors import UserError, unknown
from jaxvae.data.quadrants import QUADRANTS, modelled, pixels, region
from jaxvae.data.split import UNLABELLED, Dataset, Split

MAX_CLASSES = 100  # whole numbers of more values are scaled instead of one-hot
RESERVED = ("label", "factors", "context", "total", *QUADRANTS)  # names that are not looked up in the user's own files


class Field(NamedTuple):
    """One of the facts that a context `[N, C]` is made of, and its encoding as `size` of the C numbers.

    Attributes:
      name: of the labels, a factor, an array or a column.
      kind: "class", one-hot over `values`; "number", (value - shift) / scale; "total", the same of the logarithm of a
        sum of counts; "array", numbers as they are; "pixels", a quadrant of the image, in [0, 1].
      size: length of the encoding.
      values: the classes as stored, in ascending order.
      names: names of the classes, where they have any.
      shift, scale: mean and standard deviation of the training data.
    """

    name: str
    kind: str
    size: int = 1
    values: tuple[Any, ...] = ()
    names: tuple[str, ...] = ()
    shift: float = 0.0
    scale: float = 1.0

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the classes in the user's terms: their names, or their values."""
        return self.names or tuple(map(str, self.values))

    def encode(self, stored: np.ndarray) -> np.ndarray:
        """Encode stored values `[N]` (of an "array" `[N, size]`): `[N, size]` float32; 0 for a label that is unknown.

        Raises:
          UserError: an unknown class, a value that is not finite, or another size.
        """
        if self.kind == "class":
            found, index = np.unique(stored, return_inverse=True)
            known = {value: i for i, value in enumerate(self.values)}
            if self.name == "label":
                known.setdefault(UNLABELLED, self.size)  # a row of zeros
            if missing := [value for value in found.tolist() if value not in known]:
                raise unknown("class", missing[0], self.classes, f"the context '{self.name}'")
            one_hot = np.eye(self.size + 1, self.size, dtype=np.float32)
            return one_hot[[known[value] for value in found.tolist()]][index.reshape(-1)]
        rows = np.asarray(stored)
        if rows.dtype.kind not in "biuf" or not np.isfinite(rows).all():
            raise UserError(f"The context '{self.name}' must be finite numbers, but some are not.")
        rows = rows.astype(np.float32).reshape(len(rows), -1)
        if rows.shape[1] != self.size:
            raise UserError(f"The context '{self.name}' is {self.size} numbers, but {rows.shape[1]} were given.")
        if self.kind == "total":
            if rows.size and rows.min() <= 0:
                raise UserError(f"The context '{self.name}' is a sum of counts, and must be above 0; one is not.")
            rows = np.log(rows)
        return (rows - np.float32(self.shift)) / np.float32(self.scale)


def names_of(asked: str) -> tuple[str, ...]:
    """Split the setting `data.context`, names separated by commas."""
    return tuple(dict.fromkeys(name.strip() for name in asked.split(",") if name.strip()))


def own_names(asked: str) -> tuple[str, ...]:
    """Return the names in `data.context` that can be arrays, columns or annotations of the user's own file."""
    return tuple(name for name in names_of(asked) if name not in RESERVED)


def conditioned(dataset: Dataset, asked: str) -> tuple[Dataset, tuple[Field, ...]]:
    """Give each example its context.

    Args:
      dataset: the data.
      asked: `data.context`: names separated by commas, of "label", "factors", single factors, own arrays or columns,
        "total" (the sum of an example's counts), or quadrants of the image; "" for the array "context" of the data, if
        there is one.

    Returns:
      The data with a context, and its fields. Of the quadrants of an image, the others are what is modelled: the mask
      of each example leaves out those in the context.

    Raises:
      UserError: the data lacks something, or it is the same in all examples.
    """
    names = names_of(asked)
    if not names and not dataset.context_dim:
        return dataset, ()
    splits = {name: getattr(dataset, name) for name in ("train", "validation", "test")}
    names = [
        each for name in names or ("context",) for each in (dataset.factor_names if name == "factors" else (name,))
    ]
    if "factors" in names_of(asked) and not dataset.factor_names:
        raise _lacks(dataset, "factors")
    fields = tuple(_field(dataset, splits, name) for name in names)
    encoded = {name: of_split(fields, split, dataset) for name, split in splits.items()}
    notes = tuple(
        f"No training example has the context {field.name} = {', '.join(field.classes[i] for i in unseen)}: the model "
        f"learns nothing about {'it' if len(unseen) == 1 else 'them'}."
        for field, rows in zip(fields, parts(fields, encoded["train"].context), strict=True)
        if field.kind == "class" and len(unseen := np.flatnonzero(~rows.any(axis=0)))
    )
    return dataset._replace(**encoded, notes=(*dataset.notes, *notes)), fields


def of_split(fields: Sequence[Field], split: Split, dataset: Dataset) -> Split:
    """Encode the context of a split, `[N, C]`, by fields that are known; `dataset` has the names of its factors.

    Raises:
      UserError: the split lacks a field, or holds an unknown class.
    """
    if not fields:
        return split._replace(context=None)
    encoded = [field.encode(_stored(dataset, split, field.name)) for field in fields]
    return split._replace(context=np.concatenate(encoded, axis=1), mask=_mask(fields, split))


def _field(dataset: Dataset, splits: Mapping[str, Split], name: str) -> Field:
    stored = [_stored(dataset, split, name) for split in splits.values() if len(split.x)]
    train = stored[0]
    if name in QUADRANTS:
        return Field(name, "pixels", train.shape[1])
    if train.ndim > 1:
        return Field(name, "array", int(np.prod(train.shape[1:])))
    if train.dtype.kind not in "biufUS":
        raise UserError(f"data.context has '{name}', which is of type {train.dtype}: give numbers or strings.")
    every = np.unique(np.concatenate(stored))
    every = every[every != UNLABELLED] if name == "label" else every
    if len(every) < 2:
        raise UserError(
            f"data.context has '{name}', which is {every.tolist()[0]!r} in every example: there is nothing to be "
            "conditional on. Leave it out."
        )
    if every.dtype.kind != "f" and len(every) <= MAX_CLASSES:
        names = dataset.class_names if name == "label" else ()
        values = tuple(every.tolist())
        return Field(name, "class", len(every), values, tuple(names[value] for value in values) if names else ())
    if every.dtype.kind in "US":
        raise UserError(
            f"data.context has '{name}', strings of {len(every)} different values; one-hot classes are at most "
            f"{MAX_CLASSES}. Join the rare ones, or give numbers."
        )
    if not np.isfinite(every).all():
        raise UserError(f"data.context has '{name}', which holds values that are NaN or infinite: fill or drop them.")
    if name == "total":
        values = np.log(np.maximum(train, 1.0))
        return Field(name, "total", shift=float(values.mean()), scale=float(values.std()) or 1.0)
    values = train.astype(np.float64)
    return Field(name, "number", shift=float(values.mean()), scale=float(values.std()) or 1.0)


def _stored(dataset: Dataset, split: Split, name: str) -> np.ndarray:
    """Return the values of a field as stored."""
    if split.beside is not None and name in (split.beside.dtype.names or ()):
        return _plain(split.beside[name], name)
    if name in QUADRANTS and not dataset.sequence and len(dataset.shape) == 3 and isinstance(split.x, np.ndarray):
        if split.mask is not None and not split.mask[:, *region(name, dataset.shape[:2])].all():
            raise UserError(
                f"data.context has '{name}', of which pixels are missing; a context must be known. Fill them, or leave "
                "these images out."
            )
        return pixels(split.x, name, dataset.max_value)
    if name in dataset.factor_names and split.factors is not None:
        return split.factors[:, dataset.factor_names.index(name)]
    if name == "total" and isinstance(split.x, np.ndarray) and split.x.dtype != np.float32 and not dataset.sequence:
        if split.mask is not None and not split.mask.all():
            raise UserError(
                "data.context has 'total', the sum of an example's counts, but some of its counts are missing, so that "
                "their sum is not known. Give the totals as an array or a column of your own, named otherwise."
            )
        return split.x.reshape(len(split.x), -1).sum(axis=1, dtype=np.float64)
    found = {"label": split.label, "context": split.context}.get(name)
    if found is None:
        raise _lacks(dataset, name)
    return found


def _plain(stored: np.ndarray, name: str) -> np.ndarray:
    """Return strings in an array of objects as an array of strings; UserError where one is missing."""
    if stored.dtype.kind != "O":
        return stored
    if without := int(sum(value is None or value != value for value in stored.flat)):
        raise UserError(
            f"The context '{name}' lacks {without} of {stored.size} values: a context must be known. Give each a value."
        )
    return stored.astype(str) if all(isinstance(value, str) for value in stored.flat) else stored


def _lacks(dataset: Dataset, name: str) -> UserError:
    train = dataset.train
    if name == "total" and not dataset.sequence:
        return UserError(
            f"data.context has 'total', the sum of an example's counts, but '{dataset.name}' is not counts: its values "
            "are floats. Store counts as whole numbers, or give totals as an array or a column named otherwise."
        )
    there = [key for key in ("label", "context") if getattr(train, key) is not None]
    there += [*(train.beside.dtype.names or ())] if train.beside is not None else []
    there += ["total"] if train.x.dtype != np.float32 and not dataset.sequence else []
    there += ["factors", *dataset.factor_names] if train.factors is not None else []
    if len(dataset.shape) == 3 and not dataset.sequence and isinstance(train.x, np.ndarray):
        there += QUADRANTS
    return unknown("context", name, there, f"the data '{dataset.name}', in data.context")


def _mask(fields: Sequence[Field], split: Split) -> np.ndarray | None:
    """Return what is modelled of each image: all but the quadrants in the context, and what was missing before."""
    mask = modelled([field.name for field in fields if field.kind == "pixels"], split.x.shape[1:])
    if mask is None:
        return split.mask
    if not mask.any():
        raise UserError("data.context has all four quadrants of the image, so that nothing is left to model.")
    return np.array(np.broadcast_to(mask, split.x.shape)) if split.mask is None else mask & split.mask


def parts(fields: Sequence[Field], context: Any) -> list[np.ndarray]:
    """Split an encoded context `[N, C]` into those of its fields."""
    return np.split(context, np.cumsum([field.size for field in fields])[:-1], axis=1)
