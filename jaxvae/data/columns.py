"""Columns of a table: their kinds by a rule, and their values as floats, codes for categories."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxvae.common.columns import KINDS, OF_CATEGORIES, Column
from jaxvae.common.errors import UserError, unknown
from jaxvae.data import row_names, tables
from jaxvae.data.column_encoding import LEAST_POSITIVE, encode, encode_like
from jaxvae.data.column_labels import context_of, empty
from jaxvae.data.column_values import Values, values_of
from jaxvae.data.context import names_of, own_names
from jaxvae.data.split import LABEL_NAMES, UNLABELLED, Found, Split, beside

IGNORE = "ignore"  # in data.columns: leave the column out
FEW = 10  # different whole numbers, at most, of an ordinal column
EXACT = 2**24  # whole numbers below it are exact in float32
SHOWN = 8  # names in a line


def from_table(frame: Any, source: str, label: str = "", asked: Sequence[str] = (), context: str = "") -> Found:
    """Encode a table as floats, with a kind for each column.

    The rule: two different values are binary; text and booleans are categorical, or ordinal where the column's type has
    an order; whole numbers are ordinal if there are at most 10 different ones (a column of labels is categorical), else
    counts if none is below 0; other numbers are positive if all are above 0, else real.

    Args:
      frame: a data frame of pandas, Polars, Arrow or any other with Arrow's interface.
      source: its name, for messages.
      label: column whose categories are the labels too; "" for one with a usual name (y, label, target ...).
      asked: kinds that replace those of the rule, "name=kind"; the kind "ignore" leaves a column out.
      context: `data.context`: the columns that it names, or the label, are kept beside x instead of in it.

    Returns:
      One split "train", x `[N, D]` float32 with NaN where a cell is empty; the columns; and notes with their kinds.

    Raises:
      UserError: no such column or kind; a column without a value, with one value only, with more categories than half
        of its rows, or whose values do not fit the kind that is asked.
    """
    table, index = tables.indexed(frame, source)
    names = list(map(str, table.column_names))
    kinds = asked_kinds(asked, names, source)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"The table '{source}' has several columns of the name {', '.join(twice)}. Rename them.")
    if label and label not in names:
        raise unknown("column", label, names, f"'{source}', for data.label")
    label = label or _usual(names)
    found = {name: values_of(table.column(i)) for i, name in enumerate(names) if kinds.get(name) != IGNORE}
    unused = [name for name, values in found.items() if not values.type] + [n for n in names if n not in found]
    columns = [
        _column(name, values, kinds.get(name, ""), name == label) for name, values in found.items() if values.type
    ]
    if not columns:
        raise UserError(f"The table '{source}' has no column to learn from, but {', '.join(names) or 'none at all'}.")
    x = np.column_stack([encode(column, found[column.name], source) for column in columns]).astype(np.float32)
    labels, classes, without = labels_of(columns, x, label)
    own = own_names(context)
    if missing := [name for name in own if name not in names]:
        raise unknown("column", missing[0], names, f"data.context in '{source}'")
    apart = {*own, *([label] if "label" in names_of(context) else [])}
    kept = [i for i, column in enumerate(columns) if column.name not in apart]
    if not kept:
        raise UserError(f"All columns of the table '{source}' are its context: {', '.join(sorted(apart))}.")
    values = {name: context_of(table.column(names.index(name)), source, name) for name in own}
    named = row_names.of_table(table, index, {*own, *(column.name for column in columns)})
    columns = tuple(columns[i] for i in kept)
    split = Split(x[:, kept], labels, beside=beside(values), names=named)
    notes = (*_notes(columns, unused, sorted(apart)), *([without] if without else []))
    return Found({"train": split}, (), classes, tuple(column.name for column in columns), notes, columns)


def like_table(
    table: Sequence[Column], frame: Any, source: str, label: str, context: str, classes: Sequence[str]
) -> Split:
    """Encode other rows like `encode_like`, with their context, and with labels where all known ones are `classes`."""
    arrow, index = tables.indexed(frame, source)
    names = list(map(str, arrow.column_names))
    label = label or _usual(names)
    values = values_of(arrow.column(names.index(label))).values.tolist() if label in names and classes else []
    known = {name: i for i, name in enumerate(classes)}
    whole = [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]  # beside empty cells
    codes = [known.get(str(v), known.get(str(w))) for v, w in zip(values, whole, strict=True)]
    codes = [UNLABELLED if is_empty else code for code, is_empty in zip(codes, empty(values), strict=True)]
    labels = None if None in codes or set(codes) <= {UNLABELLED} else np.array(codes, np.int32)
    if missing := [name for name in own_names(context) if name not in names]:
        raise unknown("column", missing[0], names, f"data.context in '{source}'")
    own = {name: context_of(arrow.column(names.index(name)), source, name) for name in own_names(context)}
    named = row_names.of_table(arrow, index, {label, *own, *(column.name for column in table)})
    return Split(encode_like(table, arrow, source), labels, beside=beside(own), names=named)


def describe_columns(table: Sequence[Column]) -> dict[str, str]:
    """Describe the columns of a table by name: "a count", "categorical (a, b, c)"."""
    return {
        column.name: column.kind + (f" ({_listed(column.categories)})" if column.categories else "") for column in table
    }


def asked_kinds(asked: Sequence[str], names: Sequence[str], source: str) -> dict[str, str]:
    """Read `data.columns`, "name=kind" each.

    Raises:
      UserError: an entry of another form, a column that does not exist, or an unknown kind.
    """
    kinds = {}
    for entry in asked:
        name, separator, kind = entry.rpartition("=")
        if not separator:
            raise UserError(f"data.columns has the entry '{entry}'; an entry is name=kind, 'age=count' for example.")
        if name not in names:
            raise unknown("column", name, names, f"'{source}' in data.columns")
        if kind not in (*KINDS, IGNORE):
            raise unknown("kind of column", kind, (*KINDS, IGNORE), f"'{name}' in data.columns")
        kinds[name] = kind
    return kinds


def _column(name: str, values: Values, asked: str, is_label: bool) -> Column:
    present = values.present
    distinct = list(values.order) or sorted(set(present.tolist()))
    out = f"Leave it out by data.columns={name}={IGNORE}"
    if not len(present):
        raise UserError(f"All {len(values.values)} values of the column '{name}' are missing. {out}.")
    if present.dtype.kind == "f" and (num := int(np.isinf(present).sum())):
        raise UserError(
            f"The column '{name}' has infinite values, {num} of them. Leave such cells empty to mark them as missing."
        )
    if len(set(present.tolist())) == 1:
        raise UserError(
            f"The column '{name}' has one value only, {present[0]}, in all {len(present)} rows that have one: there is "
            f"nothing to learn. {out}."
        )
    kind = asked or _rule(values, distinct, is_label)
    if kind not in OF_CATEGORIES:
        made = Column(name, kind, values.type)
        if kind == "count" and (values.type != "int" or present.max() >= EXACT):
            raise UserError(
                f"The column '{name}' cannot be a count: its values are not whole numbers below 2^24. {out}."
            )
        encode(made, values, "data.columns" if asked else name)  # refuses values that do not fit
        return made
    if kind == "ordinal" and values.type == "text" and not values.order:
        raise UserError(
            f"The column '{name}' is text without an order, so it cannot be ordinal: give it an ordered type (of "
            "pandas, Categorical(ordered=True)), or numbers, or the kind categorical."
        )
    if kind == "binary" and len(distinct) != 2:
        raise UserError(f"The column '{name}' cannot be binary: it has {len(distinct)} different values, not 2.")
    if len(distinct) > 2 and 2 * len(distinct) > len(present):
        raise UserError(
            f"The column '{name}' has {len(distinct)} categories in {len(present)} rows: more than half as many as "
            f"rows cannot be learned, and a name or a number of a row says nothing about others. {out}."
        )
    plain = tuple(int(value) if values.type == "int" else value for value in distinct)
    return Column(name, kind, values.type, plain)


def _rule(values: Values, distinct: Sequence[Any], is_label: bool) -> str:
    """Return the kind of a column, see `from_table`."""
    if len(distinct) == 2:
        return "binary"
    if values.order:
        return "ordinal"
    if values.type not in ("int", "float"):
        return "categorical"
    if values.type == "int" and len(distinct) <= FEW:
        return "categorical" if is_label else "ordinal"
    if values.type == "int" and distinct[0] >= 0 and distinct[-1] < EXACT:
        return "count"
    return "positive" if distinct[0] >= LEAST_POSITIVE else "real"


def labels_of(columns: Sequence[Column], x: np.ndarray, label: str) -> tuple[np.ndarray | None, tuple[str, ...], str]:
    """Return the codes of the column of labels, `[N]`, their names, and a note on empty cells, whose label is -1.

    None for a column of numbers, or with no class at all.
    """
    i = target_of(columns, label)
    if i is None or not columns[i].has_categories:
        return None, (), ""
    without = np.isnan(x[:, i])
    codes = np.where(without, UNLABELLED, x[:, i]).astype(np.int32)
    note = f"the label '{columns[i].name}' is empty in {without.sum()} of {len(x)} rows, which have none"
    return codes, tuple(map(str, columns[i].categories)), note if without.any() else ""


def target_of(columns: Sequence[Column], label: str) -> int | None:
    """Return the index of the column of labels, `data.label` or one with a usual name; None where there is none."""
    names = [column.name for column in columns]
    name = label or _usual(names)
    return names.index(name) if name in names else None


def _usual(names: Sequence[str]) -> str:
    return next((name for name in LABEL_NAMES if name in names), "")


def _notes(columns: Sequence[Column], unused: Sequence[str], context: Sequence[str]) -> tuple[str, ...]:
    by_kind: Mapping[str, list[str]] = {kind: [c.name for c in columns if c.kind == kind] for kind in KINDS}
    lines = [
        f"{len(names)} {kind} column{'' if len(names) == 1 else 's'} ({KINDS[kind]}): {_listed(names)}"
        for kind, names in by_kind.items()
        if names
    ]
    lines += [f"columns that are not used: {_listed(unused)}"] if unused else []
    lines += [f"the context, not modelled: {_listed(context)}"] if context else []
    return (*lines, "another kind of a column: data.columns=NAME=KIND")


def _listed(names: Sequence[Any]) -> str:
    return ", ".join(map(str, names[:SHOWN])) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
