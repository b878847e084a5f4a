"""Read the facts of the data that a checkpoint holds."""

from collections.abc import Mapping
from typing import Any

from jaxvae.common.columns import Column
from jaxvae.data.context import Field
from jaxvae.data.spec import DataSpec


def spec_of(info: Mapping[str, Any]) -> DataSpec:
    """Return the facts of the data that a checkpoint's info holds."""
    data = info["data"]
    of_json = {key: _tuple(value) for key, value in data.items() if isinstance(value, list)}  # JSON has no tuples
    fields = tuple(Field(*_tuple(field)) for field in data.get("context", ()))
    if data.get("context_dim") and not fields:  # of an earlier version
        fields = (Field("context", "array", data["context_dim"]),)
    table = tuple(Column(*_tuple(column)) for column in data.get("table", ()))
    return DataSpec(**{**data, **of_json, "context": fields, "table": table})


def _tuple(values: Any) -> tuple[Any, ...]:
    return tuple(tuple(value) if isinstance(value, list) else value for value in values)
