"""Nested mappings by dotted keys, without JAX: the command line needs them before it is worth importing."""

from typing import Any


def flatten(nested: Any, prefix: str = "") -> dict[str, Any]:
    """`{"train.batch_size": 128, ...}` of a config, plain or of ml_collections."""
    flat = {}
    for key, value in nested.items():
        flat |= flatten(value, f"{prefix}{key}.") if hasattr(value, "items") else {f"{prefix}{key}": value}
    return flat
