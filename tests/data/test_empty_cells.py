"""Cells of a file of rows are empty where no value was observed."""

import numpy as np
import pytest
from pyarrow import csv, parquet

from jaxvae.data.rows import with_gaps, write_columns

COLUMNS = {"n": np.array([1, 2, 3]), "x": np.float32([0.5, 1.5, 2.5]), "kind": np.array(["a", "b", "c"], object)}
MASK = np.array([[True, False, True], [False, True, True], [True, True, False]])


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_missing_cells_are_empty(tmp_path, suffix):
    path = tmp_path / f"rows.{suffix}"
    write_columns(path, with_gaps(COLUMNS, MASK) | {"made": np.array([7, 8, 9])})
    table = (csv.read_csv if suffix == "csv" else parquet.read_table)(path).to_pydict()
    assert table["n"] == [1, None, 3]
    assert table["x"] == [None, 1.5, 2.5]
    assert table["made"] == [7, 8, 9]
    assert [value or None for value in table["kind"]] == ["a", "b", None]


def test_whole_rows_keep_their_types():
    assert all(with_gaps(COLUMNS, None)[name] is array for name, array in COLUMNS.items())
