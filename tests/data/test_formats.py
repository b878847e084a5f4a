"""Formats of users' data: tables, MATLAB, HDF5, AnnData, folders of arrays; each with a tiny file."""

import gzip
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import scipy.io

from jaxvae import UserError, data
from jaxvae.data import tables
from jaxvae.data.labels import encode_labels

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3)).round(3)
NAMES = np.array(["red", "blue"] * 10)


def whole(dataset):
    """All rows of the three splits, sorted, each with its label."""
    splits = (dataset.train, dataset.validation, dataset.test)
    labels = [np.zeros(len(s.x)) if s.label is None else s.label for s in splits]
    rows = np.concatenate(
        [np.column_stack([s.x.reshape(len(s.x), -1), y]) for s, y in zip(splits, labels, strict=True)]
    )
    return rows[np.lexsort(rows.T)]


def wanted(x, label=None):
    rows = np.column_stack([np.float32(x).reshape(len(x), -1), np.zeros(len(x)) if label is None else label])
    return rows[np.lexsort(rows.T)]


CODES = (NAMES == "red").astype(int)


def lines(delimiter=",", header=("a", "b", "c", "color", "note")):
    rows = [header] if header else []
    rows += [(*map(str, x), name, f'"said {i}"') for i, (x, name) in enumerate(zip(X, NAMES, strict=True))]
    return "\n".join(delimiter.join(row) for row in rows) + "\n"


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.csv", ";"), ("a.tsv", "\t"), ("a.csv.gz", ",")])
def test_a_table_of_text(tmp_path, name, delimiter):
    path, content = tmp_path / name, lines(delimiter).encode()
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    made = data.load(path=str(path), label="color")
    assert (made.columns, made.class_names) == (("a", "b", "c"), ("blue", "red"))
    np.testing.assert_array_equal(whole(made), wanted(X, CODES))
    assert "labels are the column 'color'; rows are named by 'note'" in made.notes[0]


@pytest.mark.parametrize("names", [("blue", "red"), ("3", "5"), ("-1", "1")])
def test_rows_with_an_empty_label_have_none(tmp_path, names):
    lacking = [2, 7, 11]
    cells = ["" if i in lacking else names[code] for i, code in enumerate(CODES)]
    rows = [",".join([*map(str, x), cell]) for x, cell in zip(X, cells, strict=True)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["a,b,c,y", *rows]) + "\n")
    made = data.load(path=str(path))
    classes = CODES if made.class_names else np.where(CODES, 5, 3)
    assert made.class_names == (() if "3" in names else names)  # of two classes, -1 is one
    np.testing.assert_array_equal(whole(made), wanted(X, np.where(np.isin(np.arange(20), lacking), -1, classes)))
    assert "labels are the column 'y', empty in 3 of 20 rows, which have no label" in made.notes[0]


def test_a_column_of_labels_that_is_empty_gives_none(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,y\n" + "".join(f"{i},\n" for i in range(20)))
    made = data.load(path=str(path))
    assert made.train.label is None
    assert "no labels: the column 'y' is empty" in made.notes[0]


@pytest.mark.parametrize(
    ("values", "names", "codes"),
    [
        (pd.Series([True, None, False, True], dtype="boolean"), (), [1, -1, 0, 1]),
        (pd.Series([Decimal(2), None, Decimal(7), Decimal(2)]), (), [2, -1, 7, 2]),
        (pd.Series([11, None, 2, 11]).astype("Int64").astype("category"), (), [11, -1, 2, 11]),
        (pd.Series([11, 2, 2, 11]).astype("category"), (), [11, 2, 2, 11]),
        (pd.Series([3, None, 3, 3], dtype="Int64"), (), [3, -1, 3, 3]),  # of one class, the empty cell is no second
        (pd.Series(["b", " ", "a", "b"], dtype="category"), ("a", "b"), [1, -1, 0, 1]),
    ],
)
def test_labels_of_any_type_of_column(values, names, codes):
    frame = pd.DataFrame({"a": range(20), "y": pd.concat([values] * 5, ignore_index=True)})
    splits, found = encode_labels(tables.from_table(frame, "it", "y").splits, "it")
    assert found == names
    np.testing.assert_array_equal(splits["train"].label, codes * 5)


@pytest.mark.parametrize("value", ["1.5", "inf"])
def test_labels_that_are_no_classes_are_refused_beside_empty_cells(tmp_path, value):
    path = tmp_path / "a.csv"
    path.write_text("a,y\n" + "".join(f"{i},{value}\n{i},\n{i},2\n" for i in range(20)))
    with pytest.raises(UserError, match=r"real values|one integer per example"):
        data.load(path=str(path), label="y")


def test_a_table_without_a_header(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(lines(header=()))
    made = data.load(path=str(path), label="3")
    assert made.columns == ("0", "1", "2")
    np.testing.assert_array_equal(whole(made), wanted(X, CODES))
    assert "has no header" in made.notes[0]


@pytest.mark.parametrize(
    ("content", "label", "said"),
    [
        (lines().replace(str(X[4, 1]), "inf"), "", "1 infinite values, the first in row 4, column 'b'"),
        (lines(), "colour", "Unknown column 'colour' .* Did you mean 'color'"),
        ("a,b\nx,y\n", "", "no column of numbers"),
        ("", "", "is empty"),
        ("a,b\n1,2\n3\n", "", "cannot be read as a table"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, content, label, said):
    path = tmp_path / "a.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=said):
        data.load(path=str(path), label=label)


def test_a_column_of_real_values_is_a_feature_whatever_its_name():
    module = pytest.importorskip("pandas")
    frame = module.DataFrame(
        {"id": [f"r{i}" for i in range(20)], "a": np.arange(20.0), "y": np.arange(20) / 8, "b": ["u", "v"] * 10}
    )
    made = data.as_dataset(frame, {**SETTINGS, "label": ""})
    assert (made.columns, made.train.label) == (("a", "y"), None)
    said = "'arrays': 2 columns of numbers are the features; rows are named by 'id'; not used, since they are not"
    assert made.notes == (f"{said} numbers: 'b'",)
    with pytest.raises(UserError, match=r"data.label is 'y', which holds real values in 'arrays', .* whole numbers or"):
        data.as_dataset(frame, {**SETTINGS, "label": "y"})
    labelled = data.as_dataset(frame.assign(y=frame["y"].round()), {**SETTINGS, "label": ""})
    assert labelled.columns == ("a",)
    assert labelled.train.label.max() == 2


def test_words_for_missing_values_and_too_few_rows_are_said(tmp_path):
    rows = [f"{i},{'?' if i % 5 == 0 else i},a{i % 2}" for i in range(20)]
    (tmp_path / "t.csv").write_text("\n".join(["n,age,kind", *rows]))
    (note,) = data.load(path=str(tmp_path / "t.csv")).notes
    assert "1 columns of numbers" in note
    assert note.endswith("'age' would be numbers, but 4 of its cells are '?': leave them empty, as missing values")
    with pytest.raises(UserError, match=r"The test split .* 2 examples .* share of 0\.2 .* or a test set of your own"):
        data.from_arrays("mine", {"x": X[:2]})


def test_parquet(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "y": arrow.array(NAMES).dictionary_encode()}
    parquet.write_table(arrow.table(columns), tmp_path / "a.parquet")
    made = data.load(path=str(tmp_path / "a.parquet"))
    np.testing.assert_array_equal(whole(made), wanted(X, CODES))
    assert made.class_names == ("blue", "red")
    (tmp_path / "b.parquet").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read as a table"):
        data.load(path=str(tmp_path / "b.parquet"))


SETTINGS = {
    "binarization": "none", "pixel_range": (0.0, 1.0), "scaling": "none", "image_size": 0, "label": "color",
    "validation_fraction": 0.1,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_data_frames(kind):
    module = pytest.importorskip(kind)
    table = {"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "color": NAMES, "on": X[:, 0] > 0}
    frame = module.table(table) if kind == "pyarrow" else module.DataFrame(table)
    made = data.as_dataset(frame, SETTINGS)
    assert made.columns == ("a", "b", "c", "on")
    np.testing.assert_array_equal(whole(made), wanted(np.column_stack([X, X[:, 0] > 0]), CODES))
    spec = data.spec.describe(made, SETTINGS)[0]
    if kind != "pyarrow":
        other = frame[["on", "c", "a", "b"]]  # another order
        np.testing.assert_array_equal(data.as_stored(spec, SETTINGS, other)[:, :3], np.float32(X))
        with pytest.raises(UserError, match=r"lacks 2 of the 4 columns .*: b, on"):
            data.as_stored(spec, SETTINGS, frame[["a", "c"]])


def test_the_index_of_a_pandas_frame_is_no_feature_and_odd_columns_are_named():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": X[:, 0], "b": X[:, 1], "id": np.arange(20) + 0.5}).set_index("id")
    settings = {**SETTINGS, "label": ""}
    assert data.as_dataset(frame, settings).columns == ("a", "b")
    with pytest.raises(UserError, match="mixed or unknown types"):
        data.as_dataset(frame.assign(odd=[1, "a"] * 10), settings)
    with pytest.raises(UserError, match=r"neither numbers nor text: 'odd' \(list"):
        data.as_dataset(frame.assign(odd=[[1], [2]] * 10), settings)
    both = data.as_dataset(
        {"x_train": frame.assign(y=NAMES), "x_test": frame[["b", "a"]].iloc[:4].assign(y=NAMES[:4])}, settings
    )
    np.testing.assert_array_equal(both.test.x, np.float32(X[:4, :2]))
    np.testing.assert_array_equal(both.test.label, CODES[:4])


def test_matlab(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"faces": X, "person": CODES[None].astype(float), "s": {"odd": 1}})
    made = data.load(path=str(tmp_path / "a.mat"), label="person")
    np.testing.assert_array_equal(whole(made), wanted(X, CODES))
    assert "not used: 's'" in made.notes[0]
    (tmp_path / "b.mat").write_bytes(b"nothing at all" * 20)
    with pytest.raises(UserError, match=r"b.mat' cannot be read"):
        data.load(path=str(tmp_path / "b.mat"))


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".mat"])
def test_hdf5(tmp_path, suffix):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / f"a{suffix}"
    with h5py.File(path, "w", userblock_size=512 if suffix == ".mat" else 0) as file:
        file["group/faces"] = X.T if suffix == ".mat" else X  # MATLAB writes its axes in reverse order
        file["names"] = NAMES.astype(bytes)
    if suffix == ".mat":  # version 7.3 is HDF5 after a header
        header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
        path.write_bytes(header + path.read_bytes()[128:])
    made = data.load(path=str(path), label="names")
    np.testing.assert_array_equal(whole(made), wanted(X, CODES))
    assert made.class_names == ("blue", "red")


def test_annotated_matrices(tmp_path):
    anndata, pandas = pytest.importorskip("anndata"), pytest.importorskip("pandas")
    counts = RNG.poisson(300, (20, 4))
    obs = pandas.DataFrame({"cell_type": pandas.Categorical(NAMES), "batch": 1}, index=[f"c{i}" for i in range(20)])
    var = pandas.DataFrame(index=["g1", "g2", "g3", "g4"])
    made = anndata.AnnData(scipy.sparse.csr_matrix(counts.astype(np.float32)), obs, var)
    made.write_h5ad(tmp_path / "a.h5ad")
    loaded = data.load(path=str(tmp_path / "a.h5ad"), label="cell_type")
    np.testing.assert_array_equal(whole(loaded), wanted(counts, CODES))
    assert (loaded.columns, loaded.class_names) == (("g1", "g2", "g3", "g4"), ("blue", "red"))
    assert loaded.train.x.dtype == np.int32  # floats that are counts
    assert "not used: obs 'batch'" in loaded.notes[0]
    np.testing.assert_array_equal(data.as_dataset(made, {**SETTINGS, "label": "cell_type"}).train.x, loaded.train.x)
    spec = data.spec.describe(loaded, SETTINGS)[0]
    np.testing.assert_array_equal(data.as_stored(spec, {**SETTINGS, "pixel_range": ()}, made[:, ::-1]), counts)
    with pytest.raises(UserError, match=r"Unknown annotation 'celltype' .* Did you mean 'cell_type'"):
        data.load(path=str(tmp_path / "a.h5ad"), label="celltype")


def test_a_folder_of_arrays(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for i in range(10):
            np.save(tmp_path / name / f"{i}.npy", X[i + 10 * (name == "two")])
    made = data.load(path=str(tmp_path))
    np.testing.assert_array_equal(whole(made), wanted(X, np.repeat([0, 1], 10)))
    assert made.class_names == ("one", "two")
    np.save(tmp_path / "one" / "odd.npy", X)
    with pytest.raises(UserError, match="differ in shape or type"):
        data.load(path=str(tmp_path))
    named = tmp_path / "named"
    named.mkdir()
    for name, array in {"x_train": X[:15], "y_train": NAMES[:15], "x_test": X[15:], "y_test": NAMES[15:]}.items():
        np.save(named / f"{name}.npy", array)
    loaded = data.load(path=str(named), validation_fraction=0)
    np.testing.assert_array_equal(loaded.test.x, np.float32(X[15:]))
    np.testing.assert_array_equal(loaded.test.label, CODES[15:])


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "a.h5").write_bytes(b"")
    with pytest.raises(UserError, match=r"pip install 'jaxvae\[formats\]'"):
        data.load(path=str(tmp_path / "a.h5"))


def test_a_label_needs_a_file():
    with pytest.raises(UserError, match="'digits' has its own labels"):
        data.load("digits", label="y")
    # Where there is no data at all, this is said first.
    with pytest.raises(UserError, match=r"data that was given in Python, .* jaxvae.load\(folder, data=...\)"):
        data.load("arrays", label="kind")
    with pytest.raises(UserError, match=r"'none.csv' does not exist, seen from"):
        data.load("none.csv", label="kind")
