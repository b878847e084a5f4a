"""Names of rows: an index, a first column of text, annotations, files; each beside its example in every split."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from jaxvae import UserError, data
from jaxvae.data.split import Split

X = np.random.default_rng(0).normal(size=(30, 2)).round(3)
IDS = [f"bottle-{i:02d}" for i in range(30)]
FRAME = pd.DataFrame(X, columns=["a", "b"])
SETTINGS = {
    "kind": "images", "name": "x", "path": "", "binarization": "none", "pixel_range": (0.0, 1.0), "scaling": "none",
    "image_size": 0, "label": "", "validation_fraction": 0.1, "sequence": {}, "data_dir": "", "cache_dir": "",
    "stream": False, "context": "", "columns": (),
}  # fmt: skip


def named(dataset):
    """`{name: first value of its row}` over all splits; None without names."""
    splits = [s for s in (dataset.train, dataset.validation, dataset.test) if s.names is not None]
    rows = [(name, x.flat[0]) for s in splits for name, x in zip(s.names.tolist(), s.x, strict=True)]
    return dict(rows) if rows else None


def written(folder, suffix, frame, index):
    path = folder / f"rows{suffix}"
    frame.to_parquet(path) if suffix == ".parquet" else frame.to_csv(path, index=index)
    return str(path)


def expected(names, x=X):
    return dict(zip(names, np.float32(x)[:, 0], strict=True))


@pytest.mark.parametrize("kind", ["images", "table"])
def test_the_index_of_a_data_frame_names_its_rows_also_from_a_file(kind, tmp_path):
    settings = {**SETTINGS, "kind": kind, "pixel_range": (0.0, 1.0) if kind == "images" else ()}
    indexed = FRAME.set_index(pd.Index(IDS, name="id"))
    for given in (
        indexed, indexed.rename_axis(None), written(tmp_path, ".parquet", indexed, True),
        written(tmp_path, ".csv", indexed.rename_axis(None), True),  # its column has no name
    ):  # fmt: skip
        made = data.as_dataset(given, settings)
        assert made.columns == ("a", "b")
        assert named(made) == expected(IDS)


def test_an_index_of_numbers_is_no_feature_and_that_of_pandas_itself_no_name(tmp_path):
    assert named(data.as_dataset(FRAME, SETTINGS)) is None
    assert named(data.as_dataset(FRAME[10:], SETTINGS)) == expected(range(10, 30), X[10:])
    some = FRAME.sample(frac=1, random_state=0)
    for given in (some, written(tmp_path, ".csv", some, True)):
        made = data.as_dataset(given, SETTINGS)
        assert made.columns == ("a", "b")
        assert named(made) == expected(range(30))
    levels = FRAME.set_index([pd.Index(["u", "v"] * 15), pd.Index([7, 5, 3] * 10)])
    assert set(named(data.as_dataset(levels, SETTINGS))) == {f"{u}, {i}" for u in "uv" for i in (7, 5, 3)}


def test_a_first_column_of_text_names_rows_where_all_differ(tmp_path):
    frame = FRAME.assign(id=IDS, kind=["red", "white"] * 15)
    assert named(data.as_dataset(written(tmp_path, ".csv", frame, False), SETTINGS)) == expected(IDS)
    assert named(
        data.as_dataset(frame, {**SETTINGS, "kind": "table", "pixel_range": (), "columns": ("id=ignore",)})
    ) == expected(IDS)
    assert named(data.as_dataset(frame[["kind", "a", "b", "id"]], SETTINGS)) is None  # not the first
    assert named(data.as_dataset(frame.drop(columns="kind"), {**SETTINGS, "label": "id"})) is None


def test_annotated_rows_and_files_have_names(tmp_path):
    anndata = pytest.importorskip("anndata")
    cells = anndata.AnnData(X, obs=pd.DataFrame(index=IDS), var=pd.DataFrame(index=["a", "b"]))
    assert named(data.as_dataset(cells, SETTINGS)) == expected(IDS)
    for i in range(12):
        (tmp_path / "dark").mkdir(exist_ok=True)
        Image.fromarray(np.full((4, 4), i, np.uint8)).save(tmp_path / "dark" / f"{i:02d}.png")
    names = {f"dark/{i:02d}.png": i for i in range(12)}
    assert named(data.as_dataset(tmp_path, SETTINGS)) == names
    made = data.as_dataset(tmp_path, {**SETTINGS, "stream": True, "cache_dir": str(tmp_path / "cache")})
    assert sorted(np.concatenate([made.train.names, made.validation.names, made.test.names])) == sorted(names)


def test_names_are_no_part_of_the_data():
    x = np.float32(X)
    assert data.checksum(Split(x)) == data.checksum(Split(x, names=np.array(IDS)))


@pytest.mark.parametrize("kind", ["images", "table"])
def test_the_index_of_a_data_frame_in_a_dictionary_names_its_rows(kind):
    settings = {**SETTINGS, "kind": kind, "pixel_range": (0.0, 1.0) if kind == "images" else ()}
    frame = FRAME.set_axis(IDS)
    splits = {"x_train": frame[:20], "x_test": frame[20:]}
    assert named(data.as_dataset(splits, settings)) == expected(IDS)
    made = data.as_dataset(splits, settings)
    assert made.test.names.tolist() == IDS[20:]
    assert set(made.train.names) | set(made.validation.names) == set(IDS[:20])
    if kind == "images":
        assert named(data.as_dataset({"x": frame}, settings)) == expected(IDS)
        assert named(data.as_dataset({"train": frame[:20], "test": frame[20:]}, settings)) == expected(IDS)


def test_arrays_have_row_names_of_their_own_and_labels_beside_any_name_of_the_data():
    arrays = {"images": X, "row_names": np.array(IDS)}
    made = data.as_dataset(arrays, SETTINGS)
    assert named(made) == expected(IDS)
    assert not made.notes  # nothing was left unused
    frame = FRAME.assign(y=np.arange(30) % 3).set_axis(IDS)
    made = data.as_dataset({"X": frame}, SETTINGS)
    assert named(made) == expected(IDS)
    assert made.train.label is not None
    with pytest.raises(UserError, match=r"row_names are .* 30 strings"):
        data.as_dataset({"x": X, "row_names": np.array(IDS[:5])}, SETTINGS)
