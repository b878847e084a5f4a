"""The tool `impute` on a run with missing values, in its own units, beside `Run.impute` and the imputation error."""

import json
import time

import numpy as np
import pytest

import jaxvae
import launch
from jaxvae.runs.trained_run import TrainedRun
from jaxvae.tools import find

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)
CODE = RNG.normal(size=(300, 2))
WEIGHT = RNG.normal(size=(2, 6))
X = (CODE @ WEIGHT + 0.1 * RNG.normal(size=(300, 6))) * [1, 10, 100, 1, 1, 1] + [0, 50, 0, 0, 0, -3]
NAMES = ("a", "b", "c", "d", "e", "f")
SETTINGS = (
    "--config=configs/miwae_missing.py", "--config.data.missing=0.3", "--config.model.latent_dim=3",
    "--config.network.hidden=(32,)", "--config.objective.num_samples=5", "--config.train.num_epochs=150",
    "--config.train.eval_every_epochs=150", "--config.optimizer.learning_rate=0.005", "--config.evaluate.nll_samples=5",
    "--config.evaluate.report=False",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("holes")
    (folder / "x.csv").write_text(
        "\n".join([",".join(NAMES), *(",".join("" if i == 5 and j == 2 else repr(float(v)) for j, v in enumerate(row))
                                      for i, row in enumerate(X))])
    )  # fmt: skip
    argv = [*SETTINGS, f"--config.data.path={folder / 'x.csv'}", f"--workdir={folder / 'run'}"]
    assert launch.main(["launch.py", *argv], time.time()) == 0
    argv = ["--mode=tool", "--config.tool=impute", "--config.tool.draws=4"]
    assert launch.main(["launch.py", f"--workdir={folder / 'run'}", *argv], time.time()) == 0
    return folder / "run"


@pytest.fixture(scope="module")
def found(run):
    with np.load(run / "tools" / "impute.npz", allow_pickle=False) as arrays:
        return dict(arrays), json.loads((run / "tools" / "impute.json").read_text())


def test_observed_values_are_kept_and_rows_have_their_order(found):
    arrays, numbers = found
    observed = arrays["observed"]
    np.testing.assert_array_equal(arrays["row"], np.arange(300))
    assert numbers["missing"] == pytest.approx(0.3, abs=0.04)
    assert not observed[5, 2]
    np.testing.assert_array_equal(arrays["x"][observed], np.float32(X)[observed])
    assert np.all(np.isnan(arrays["x"][~observed]))
    for filled in (arrays["mean"], *arrays["draws"]):
        np.testing.assert_array_equal(filled[observed], np.float32(X)[observed])
        assert np.all(np.isfinite(filled))
    assert arrays["draws"].shape == (4, 300, 6)


def test_the_error_is_that_of_the_hidden_values_in_standard_deviations(run, found):
    arrays, numbers = found
    where = ~arrays["observed"]
    where[5, 2] = False  # whose truth nobody knows
    spec = jaxvae.load(run).spec
    away = ((arrays["mean"] - X) / np.asarray(spec.scale))[where]
    assert numbers["mse"] == pytest.approx(np.mean(away**2), rel=1e-3)
    assert numbers["rmse"] == pytest.approx(numbers["mse"] ** 0.5)
    assert numbers["ratio"] < 0.5  # far better than the mean of each column
    drawn = ((arrays["draws"] - X) / np.asarray(spec.scale))[:, where]
    assert np.mean(drawn**2) > 1.2 * numbers["mse"]  # draws have the spread that their mean lacks
    results = json.loads((run / "results.json").read_text())
    of_test = where & (arrays["split"] == "test")[:, None]  # the rows of the metric
    away = ((arrays["mean"] - X) / np.asarray(spec.scale))[of_test]
    assert results["metrics"]["imputation"]["mse"] == pytest.approx(np.mean(away**2), rel=1e-3)
    assert results["metrics"]["imputation"]["hidden"] == of_test.sum()


def test_the_table_has_the_columns_of_the_file(run, found):
    arrays, _ = found
    header, *rows = (run / "tools" / "impute.csv").read_text().replace('"', "").splitlines()
    assert header == "imputation,split,row," + ",".join(NAMES)
    assert len(rows) == 5 * 300
    cells = [row.split(",") for row in rows]
    assert [int(row[0]) for row in cells] == np.repeat(np.arange(5), 300).tolist()
    both = np.concatenate([arrays["mean"][None], arrays["draws"]]).reshape(-1, 6)
    np.testing.assert_allclose(np.array([row[3:] for row in cells], float), both, rtol=1e-5)


def test_a_run_in_python_imputes_what_is_nan(run):
    loaded = jaxvae.load(run)
    holes = np.where(RNG.uniform(size=X.shape) < 0.3, np.nan, X)[:40]
    filled, drawn = loaded.impute(holes), loaded.impute(holes, num_draws=3, num_samples=200)
    assert filled.shape == holes.shape
    assert drawn.shape == (3, *holes.shape)
    seen = ~np.isnan(holes)
    np.testing.assert_array_equal(filled[seen], np.float32(holes[seen]))
    spread = np.asarray(loaded.spec.scale)
    assert np.mean(((filled - X[:40]) / spread)[~seen] ** 2) < 0.5
    np.testing.assert_array_equal(filled, loaded.impute(holes))
    masked = loaded.impute(X[:40], mask=seen)
    np.testing.assert_array_equal(masked, filled)


def test_a_complete_run_has_nothing_to_complete(run):
    loaded = jaxvae.load(run)
    dataset = loaded._experiment.dataset
    whole = dataset._replace(**{name: getattr(dataset, name)._replace(mask=None) for name in dataset.complete})
    bare = TrainedRun(loaded._experiment._replace(dataset=whole), loaded._restored)
    with pytest.raises(jaxvae.UserError, match="No value of the data is missing"):
        find({"name": "impute", "mask": "own"}, bare)()
    with pytest.raises(jaxvae.UserError, match="completed by importance sampling, not by 'metropolis'"):
        find({"name": "impute", "mask": "own", "method": "metropolis"}, bare)()


def test_tools_see_observed_values_alone(run):
    """Other values where none was observed change nothing: codes, paths, cleaned examples and their errors."""
    loaded = jaxvae.load(run)
    experiment, test = loaded._experiment, loaded._experiment.dataset.test
    away = test._replace(x=np.where(test.mask, test.x, test.x + 77).astype(np.float32))
    other = experiment._replace(dataset=experiment.dataset._replace(test=away))
    runs = [TrainedRun(each, loaded._restored) for each in (experiment, other)]
    for name, keys in {
        "denoise": ("x", "noisy", "denoised"),
        "interpolate": ("z", "mean"),
        "analogy": ("mean",),
    }.items():
        first, second = (find({"name": name}, each)() for each in runs)
        for key in keys:
            np.testing.assert_allclose(first.arrays[key], second.arrays[key], rtol=1e-5)
        assert first.numbers == pytest.approx(second.numbers, rel=1e-5)
        if name == "denoise":
            known = test.mask[first.arrays["index"]]
            np.testing.assert_array_equal(np.isnan(first.arrays["x"]), ~known)
            error = (first.arrays["noisy"] - first.arrays["x"]) / np.asarray(loaded.spec.scale)
            assert first.numbers["noisy_error"] == pytest.approx(np.mean(error[known] ** 2), rel=1e-3)
    filled, rows = runs[0].filled("test", np.arange(20)), runs[0].batch("test", 20)
    np.testing.assert_array_equal(filled[rows["mask"]], rows["x"][rows["mask"]])
    np.testing.assert_allclose(filled, runs[1].filled("test", np.arange(20)), rtol=1e-5)
