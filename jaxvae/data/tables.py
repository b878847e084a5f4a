"""Tables: CSV, TSV and Parquet files, and data frames in memory, read by Arrow."""

import csv
import gzip
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from jaxvae.common.errors import UserError, first_line, unknown
from jaxvae.common.optional import require
from jaxvae.data import row_names
from jaxvae.data.column_labels import context_of, labels_of
from jaxvae.data.labels import are_classes, require_classes
from jaxvae.data.split import LABEL_NAMES, Found, Split, beside

DELIMITERS = (",", ";", "\t")
SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")
LOOKED_AT = 100  # rows, for the header


def is_table(x: Any) -> bool:
    """Return whether an object is a data frame: of pandas, Polars, Arrow or any other with Arrow's interface."""
    return hasattr(x, "__arrow_c_stream__")


def read(path: Path, suffix: str, label: str = "", context: Sequence[str] = ()) -> Found:
    """Read a table from a file, see `from_table`.

    The first line of a CSV or TSV file is its header where it holds `label`, or no numbers, or a word above a column of
    numbers. Columns without a header are called "0", "1" ...

    Raises:
      UserError: the file cannot be read, or see `from_table`.
    """
    table, notes = opened(path, suffix, label)
    found = from_table(table, str(path), label, context)
    return found._replace(notes=(*notes, *found.notes))


def opened(path: Path, suffix: str, label: str = "") -> tuple[Any, tuple[str, ...]]:
    """Read a file to an Arrow table, see `read`; return notes too.

    Raises:
      UserError: the file cannot be read.
    """
    arrow, notes = require("pyarrow"), ()
    try:
        if suffix == ".parquet":
            table = require("pyarrow.parquet").read_table(path)
        else:
            table, has_header = _csv(path, label)
            notes = () if has_header else (f"'{path}' has no header: its columns are called 0, 1 ...",)
    except (arrow.ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"'{path}' cannot be read as a table: {first_line(error)}.") from error
    return table, notes


def from_table(frame: Any, source: str, label: str = "", context: Sequence[str] = ()) -> Found:
    """Take the columns of numbers as features, and one column as labels.

    Args:
      frame: a data frame of pandas, Polars, Arrow or any other with Arrow's interface.
      source: its name, for messages.
      label: column of the labels; "" for one with a usual name (y, label, target ...) and whole numbers or text, if
        there is one.
      context: columns that are kept beside x and are not features.

    Returns:
      One split "train" with the names of the columns. Columns of text and dates are not used; the notes name them. A
      missing value becomes NaN, and so does a missing label, or "" where labels are text.

    Raises:
      UserError: there is no such column, no column of numbers, a column of another type, a context that is missing, or
        labels that are real values.
    """
    table, index = indexed(frame, source)
    names = list(map(str, table.column_names))
    kinds = {name: _kind(table.schema.field(i).type) for i, name in enumerate(names)}
    if label and label not in names:
        raise unknown("column", label, names, f"'{source}', for data.label")
    values = lambda name: _numbers(table.column(names.index(name))) if kinds[name] == "number" else ()  # noqa: E731
    if label:
        require_classes(values(label), label, source)
    label = label or next((name for name in LABEL_NAMES if name in names and are_classes(values(name))), "")
    if missing := [name for name in context if name not in names]:
        raise unknown("column", missing[0], names, f"data.context in '{source}'")
    taken = {label, *context}
    if others := [name for name, kind in kinds.items() if not kind and name not in taken]:
        listed = ", ".join(f"'{name}' ({table.schema.field(names.index(name)).type})" for name in others[:5])
        raise UserError(
            f"The table '{source}' has columns that are neither numbers nor text: {listed}. Convert them to numbers, "
            "or drop them."
        )
    features = [name for name, kind in kinds.items() if kind == "number" and name not in taken]
    if not features:
        raise UserError(f"The table '{source}' has no column of numbers besides labels, but {', '.join(names)}.")
    x = np.column_stack([_numbers(table.column(names.index(name))) for name in features])
    y, about_y = labels_of(table.column(names.index(label)), source, label) if label else (None, "")
    own = {name: context_of(table.column(names.index(name)), source, name) for name in context}
    naming = row_names.naming(table, taken) if index is None else ""
    unused = ", ".join(f"'{name}'" for name in names if name not in (*features, *taken, naming))
    notes = [f"'{source}': {len(features)} columns of numbers are the features"]
    notes += [about_y] if about_y else []
    notes += [f"rows are named by '{naming}'"] if naming else []
    notes += [f"not used, since they are not numbers: {unused}"] if unused else []
    notes += [hint for name in names if name not in taken for hint in _markers(name, table.column(names.index(name)))]
    notes[1:1] = [f"the context is {', '.join(map(repr, context))}"] if context else []
    split = Split(x, y, beside=beside(own), names=row_names.of_table(table, index, taken))
    return Found({"train": split}, columns=tuple(features), notes=("; ".join(notes),))


def columns_of(frame: Any, columns: Sequence[str], source: str) -> np.ndarray:
    """Return columns of a data frame by name, `[N, len(columns)]`.

    Raises:
      UserError: a column is missing or holds no numbers.
    """
    table = as_arrow(frame, source)
    names = list(map(str, table.column_names))
    if missing := [name for name in columns if name not in names]:
        raise UserError(
            f"The table lacks {len(missing)} of the {len(columns)} columns that the run was trained on: "
            f"{', '.join(missing[:10])}. It has {', '.join(names[:20])}."
        )
    found = [table.column(names.index(name)) for name in columns]
    if bad := [name for name, column in zip(columns, found, strict=True) if _kind(column.type) != "number"]:
        raise UserError(f"The run was trained on numbers in the columns {', '.join(bad[:10])}, which are not numbers.")
    return np.column_stack(list(map(_numbers, found)))


def as_arrow(frame: Any, source: str) -> Any:
    """Convert a data frame to an Arrow table without its index, see `indexed`."""
    return indexed(frame, source)[0]


def indexed(frame: Any, source: str) -> tuple[Any, np.ndarray | None]:
    """Convert a data frame to an Arrow table without its index; return the index too, see `row_names.of_table`.

    Raises:
      UserError: a column has mixed or unknown types.
    """
    arrow = require("pyarrow")
    try:
        table = arrow.table(frame)
    except (arrow.ArrowException, TypeError, ValueError) as error:
        raise UserError(
            f"The table '{source}' has a column of mixed or unknown types: {first_line(error)}. Convert it to numbers "
            "or strings, or drop it."
        ) from error
    return row_names.without_index(table)


def _kind(type_: Any) -> str:
    types = require("pyarrow").types
    if types.is_dictionary(type_):
        return "text" if _kind(type_.value_type) else ""
    tests = (types.is_integer, types.is_floating, types.is_decimal, types.is_boolean, types.is_null)
    if any(test(type_) for test in tests):
        return "number"
    tests = (types.is_string, types.is_large_string, types.is_string_view, types.is_temporal)
    return "text" if any(test(type_) for test in tests) else ""


def _numbers(column: Any) -> np.ndarray:
    arrow = require("pyarrow")
    if arrow.types.is_boolean(column.type):
        column = column.cast(arrow.uint8())
    elif arrow.types.is_decimal(column.type) or arrow.types.is_null(column.type):
        column = column.cast(arrow.float64())
    return column.to_numpy()  # NaN where a value is missing


def _markers(name: str, column: Any) -> list[str]:
    """Return a hint where a column is text because of one word among its numbers, "?" for example."""
    if _kind(column.type) != "text":
        return []
    different = list(map(str, column.unique().drop_null().to_pylist()))
    words = [value for value in different if not _is_number(value)]
    if len(words) != 1 or len(different) < 3:
        return []
    num = sum(value == words[0] for value in column.to_pylist())
    return [f"'{name}' would be numbers, but {num} of its cells are '{words[0]}': leave them empty, as missing values"]


def _csv(path: Path, label: str) -> tuple[Any, bool]:
    """Read a CSV or TSV file to an Arrow table; return whether its first line is a header too."""
    reader = require("pyarrow.csv")
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        first = file.readline()
        delimiter = max(DELIMITERS, key=first.count)
        head = list(csv.reader([first], delimiter=delimiter))
        rows = [row for row in islice(csv.reader(file, delimiter=delimiter), LOOKED_AT) if row]
    if not head or not head[0]:
        raise UserError(f"'{path}' is empty: it holds no table.")
    has_header = _is_header(head[0], rows, label)
    names = [] if has_header else [str(i) for i in range(len(head[0]))]
    table = reader.read_csv(
        path, reader.ReadOptions(column_names=names or None), reader.ParseOptions(delimiter=delimiter)
    )
    return table, has_header


def _is_header(first: Sequence[str], rows: Sequence[Sequence[str]], label: str) -> bool:
    if label in first and label:
        return True
    words = [i for i, cell in enumerate(first) if cell.strip() and not _is_number(cell)]
    below = [[row[i] for row in rows if len(row) > i] for i in words]
    return any(cells and all(map(_is_number, cells)) for cells in below) or (
        len(words) == len(first) and len(set(first)) == len(first)
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return cell.strip().lower() in ("na", "n/a", "null", "none")
    return True
