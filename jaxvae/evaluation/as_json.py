"""Convert the values of metrics to JSON's types."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Convert the numbers, arrays, lists and texts of a metric to JSON's types.

    Raises:
      TypeError: JSON cannot represent a value.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if hasattr(value, "__array__"):
        return np.asarray(value).tolist()
    json.dumps(value)
    return value
