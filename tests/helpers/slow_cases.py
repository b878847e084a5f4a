"""Which cases of a test run every time, and which with the slow tests."""

import pytest


def fast(values, *chosen):
    """`values` as the parameters of a test, of which all but those chosen are slow."""
    values = list(values)
    assert set(chosen) <= set(values), f"{set(chosen) - set(values)} are no cases"
    return [value if value in chosen else pytest.param(value, marks=pytest.mark.slow) for value in values]
