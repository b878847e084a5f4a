"""Which cases of a test run every time, and which with the slow tests."""

import pytest


def fast(values, *chosen):
    """`values` as the parameters of a test, of which all but those chosen are slow."""
    values = list(values)
    assert set(chosen) <= set(values), f"{set(chosen) - set(values)} are no cases"
    return [value if value in chosen else pytest.param(value, marks=pytest.mark.slow) for value in values]


def fast_rows(rows, *chosen):
    """`rows` as the parameters of a test with several arguments, of which all but those chosen are slow."""
    rows = list(rows)
    assert set(chosen) <= set(rows), f"{set(chosen) - set(rows)} are no cases"
    return [row if row in chosen else pytest.param(*row, marks=pytest.mark.slow) for row in rows]
