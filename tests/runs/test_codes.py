"""`--mode=encode` and `evaluate.data`: codes of any split or file, with their rows, labels and own contexts."""

import csv
import json
import time

import numpy as np
import pandas as pd
import pytest

import jaxvae
import launch
from jaxvae import restore
from jaxvae.data import DataSpec
from jaxvae.experiment.defaults import get_config
from jaxvae.runs.other_data import load_other

SMALL = (
    "--config.network.hidden=(8,)", "--config.model.latent_dim=2", "--config.train.num_epochs=1",
    "--config.train.batch_size=16", "--config.evaluate.report=False",
    "--config.figures.draw=False", "--config.evaluate.nll_samples=2",
    "--config.evaluate.metrics=collapse",
)  # fmt: skip
RNG = np.random.default_rng(0)
X = RNG.uniform(size=(90, 4)).astype(np.float32)
MASK = RNG.uniform(size=X.shape) < 0.7
CONTEXT = RNG.normal(size=(90, 1)).astype(np.float32)
LABEL = np.arange(90) % 3


def launched(workdir, *argv):
    assert launch.main(["launch.py", f"--workdir={workdir}", *argv], time.time()) == 0


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A conditional run on incomplete rows."""
    folder = tmp_path_factory.mktemp("codes")
    np.savez(folder / "rows.npz", x=np.where(MASK, X, np.nan), mask=MASK, context=CONTEXT, y=LABEL)
    launched(folder / "run", "--config=vae", f"--config.data.path={folder}/rows.npz", *SMALL)
    return folder / "run"


@pytest.fixture(scope="module")
def expected(run):
    model, params = restore(run)
    q = model.encode(params, np.where(MASK, X, 0), CONTEXT, mask=MASK)
    return q.mean, q.base_dist.scale


def test_each_row_of_each_split_is_encoded_with_its_own_context_and_mask(run, expected):
    launched(run, "--mode=encode", "--config.encode.split=all")
    with np.load(run / "codes-all.npz", allow_pickle=False) as found:
        rows = found["row"]
        assert sorted(rows) == list(range(90))
        np.testing.assert_allclose(found["mean"], expected[0][rows], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found["sd"], expected[1][rows], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(found["label"], LABEL[rows])
        splits, counts = np.unique(found["split"], return_counts=True)
    assert dict(zip(splits, counts, strict=True)) == {"test": 18, "train": 65, "validation": 7}


def test_a_table_is_read_back_to_the_same_numbers(run):
    for kind in ("npz", "csv"):
        launched(run, "--mode=encode", f"--config.encode.format={kind}")
    with (run / "codes-test.csv").open() as file:
        head, *rows = csv.reader(file)
    assert head == ["split", "row", "label", "z0", "z1", "sd0", "sd1"]
    with np.load(run / "codes-test.npz", allow_pickle=False) as found:
        numbers = np.asarray([row[3:] for row in rows], np.float32)
        np.testing.assert_array_equal(numbers, np.concatenate([found["mean"], found["sd"]], axis=1))
        assert [row[1] for row in rows] == list(map(str, found["row"]))


def test_a_table_of_codes_has_the_names_of_the_rows_from_parquet_to_parquet(tmp_path):
    frame = pd.DataFrame(X, columns=list("abcd")).assign(kind=np.array(["red", "white"] * 45))
    frame.index = [f"bottle-{i}" for i in range(90)]
    frame.to_parquet(tmp_path / "wine.parquet")
    argv = f"--config.data.path={tmp_path}/wine.parquet", "--config.data.label=kind", "--config.evaluate.metrics="
    launched(tmp_path / "run", "--config=vae", *SMALL[:-1], *argv)
    launched(tmp_path / "run", "--mode=encode", "--config.encode.split=all", "--config.encode.format=parquet")
    found = pd.read_parquet(tmp_path / "run/codes-all.parquet")
    assert list(found) == ["split", "row", "name", "label", "z0", "z1", "sd0", "sd1"]
    assert found.dtypes[["z0", "sd1"]].tolist() == [np.float32, np.float32]
    run = jaxvae.load(tmp_path / "run")
    found = found.set_index("name").loc[frame.index]
    assert (found["row"].tolist(), found["label"].tolist()) == (list(range(90)), frame["kind"].tolist())
    np.testing.assert_allclose(found[["z0", "z1"]], run.encode(frame), atol=1e-5)
    np.testing.assert_array_equal(run.encode(tmp_path / "wine.parquet"), run.encode(frame))
    for wrong in ("no.csv", "x.npy"):
        with pytest.raises(jaxvae.UserError, match=f"'{wrong}' does not exist. Give the path of a file or folder"):
            run.encode(wrong)
    # Samples and reconstructions are tables with the columns of the data too.
    for mode in ("sample", "reconstruct"):
        launched(tmp_path / "run", f"--mode={mode}", "--config.sample.num=3")
    assert list(pd.read_csv(tmp_path / "run/samples.csv")) == list("abcd")
    assert not (tmp_path / "run/figures").exists()  # rows have no picture
    pairs = pd.read_csv(tmp_path / "run/reconstructions.csv")
    with np.load(tmp_path / "run/reconstructions.npz") as arrays:
        np.testing.assert_allclose(pairs[[*"abcd"]], arrays["x"], rtol=1e-6)
        np.testing.assert_allclose(pairs[[f"{name} reconstructed" for name in "abcd"]], arrays["reconstruction"])
    # New rows, from a CSV with a column of names.
    frame[4:7].rename_axis("bottle").to_csv(tmp_path / "new.csv")
    other = f"--config.evaluate.data={tmp_path}/new.csv", "--config.encode.format=csv"
    launched(tmp_path / "run", "--mode=encode", *other)
    (path,) = (tmp_path / "run/other").glob("*/codes-test.csv")
    assert pd.read_csv(path)["name"].tolist() == ["bottle-4", "bottle-5", "bottle-6"]


@pytest.mark.slow
def test_other_data_is_encoded_and_judged_beside_the_run_and_needs_no_own_data_to_encode(
    run, expected, tmp_path, capsys
):
    own = run.parent / "rows.npz"
    before = (run / "results.json").read_bytes()
    other = tmp_path / "others.npz"
    np.savez(other, x=np.where(MASK, X, np.nan)[5:50], mask=MASK[5:50], context=CONTEXT[5:50])
    launched(run, "--mode=evaluate", f"--config.evaluate.data={other}")
    (folder,) = (run / "other").iterdir()
    assert capsys.readouterr().out.endswith(f"wrote {folder}/: results.json\n")
    away = own.rename(tmp_path / "moved.npz")
    try:
        launched(run, "--mode=encode", f"--config.evaluate.data={other}")
        launched(run, "--mode=reconstruct", f"--config.evaluate.data={other}", "--config.sample.num=3")
        launched(run, "--mode=evaluate", f"--config.data.path={away}", "--config.evaluate.nll_samples=2")
    finally:
        away.rename(own)
    (folder,) = (run / "other").iterdir()
    assert folder.name.startswith("others-")
    with np.load(folder / "codes-test.npz", allow_pickle=False) as found:
        assert list(found["row"]) == list(range(45))
        np.testing.assert_allclose(found["mean"], expected[0][5:50], rtol=1e-4, atol=1e-5)
    with np.load(folder / "reconstructions.npz", allow_pickle=False) as found:
        model, params = restore(run)
        back = model.decode(params, expected[0][5:8], CONTEXT[5:8]).mean
        np.testing.assert_allclose(found["reconstruction"], back, rtol=1e-4, atol=1e-4)
    results = json.loads((folder / "results.json").read_text())
    assert results["data"]["examples"]["test"] == 45
    assert json.loads((run / "results.json").read_text())["test"] == json.loads(before)["test"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--mode=encode", "--config.evaluate.data=digits"], "The data has shape (359, 8, 8, 1)"),
        (
            ["--mode=encode", "--config.evaluate.data=nowhere.npz"],
            "evaluate.data is 'nowhere.npz', which cannot be used",
        ),
        (["--mode=encode", "--config.encode.format=xlsx"], "csv, npz, parquet"),
    ],
)
def test_data_that_does_not_fit_is_refused(run, refused, argv, said):
    assert said in refused(f"--workdir={run}", *argv)


def test_a_table_is_ordered_by_the_columns_of_the_run_and_its_classes_are_numbered_as_there(tmp_path):
    (tmp_path / "other.csv").write_text("b,label,a\n0.25,pear,0.5\n0.75,apple,1.0\n0.125,kiwi,0.0\n")
    config = get_config("vae").to_dict()
    config["evaluate"]["data"] = str(tmp_path / "other.csv")
    spec = DataSpec(
        (2,), is_float=True, dtype="float32", max_value=1.0, columns=("a", "b"), class_names=("kiwi", "pear")
    )
    other = load_other(config, spec)
    np.testing.assert_array_equal(other.test.x, np.asarray([[0.5, 0.25], [1.0, 0.75], [0.0, 0.125]], np.float32))
    assert other.class_names == ("kiwi", "pear", "apple")
    np.testing.assert_array_equal(other.test.label, [1, 2, 0])
    (tmp_path / "other.csv").write_text("a,b,label\n0.5,0.25,1\n0.5,0.25,0\n")
    other = load_other(config, spec)  # numbers of the run's classes
    assert (other.test.label.tolist(), other.class_names) == ([1, 0], ("kiwi", "pear"))
    (tmp_path / "other.csv").write_text("a,b\n0.5,0.25\n")
    config["data"]["label"] = "label"
    other = load_other(config, spec)  # one row without a label
    assert (other.test.x.tolist(), other.test.label) == ([[0.5, 0.25]], None)
    with pytest.raises(ValueError, match="lacks 1 of the 3 columns that the run was trained on: c"):
        load_other(config, spec._replace(shape=(3,), columns=("a", "b", "c")))
