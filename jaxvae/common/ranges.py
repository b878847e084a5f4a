"""Ranges of options, and one error message for all values out of range."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from jaxvae.common.errors import UserError


class Range(NamedTuple):
    """The values for which `fits(value)` holds, without NaN; `allowed` describes them, after "it must be"."""

    fits: Callable[[Any], bool]
    allowed: str


def within(low: float, high: float = math.inf) -> Range:
    """Return the range from `low` to `high`, both included."""
    return Range(lambda value: low <= value <= high, f"{low} or more" if high == math.inf else f"from {low} to {high}")


def between(low: float, high: float = math.inf) -> Range:
    """Return the range above `low` and below `high`."""
    return Range(lambda value: low < value < high, f"above {low}" + (f" and below {high}" if high < math.inf else ""))


POSITIVE, NOT_NEGATIVE, UNIT = between(0), within(0), within(0, 1)
FRACTION = Range(lambda value: 0 <= value < 1, "from 0 to below 1")
NONZERO = Range(lambda value: value != 0, "other than 0")
INTERVAL = Range(lambda ends: ends[0] < ends[1], "(low, high), low < high")


def check(kind: str, name: str, /, **options: tuple[Any, Range]) -> None:
    """Raise UserError where an option `key=(value, range)` of the part `name` of this kind is out of range."""
    for key, (value, allowed) in options.items():
        if not allowed.fits(value):
            raise UserError(f"The {kind} '{name}' got {key}={value}; it must be {allowed.allowed}.")
