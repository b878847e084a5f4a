"""A run on a table: what it writes and returns has the table's names, types, units and categories."""

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from scipy import stats

import jaxvae
from jaxvae import UserError
from jaxvae.cli.main import main
from jaxvae.tools import find

RNG = np.random.default_rng(0)
N = 80
KIND = RNG.choice(["a", "b"], N)
FRAME = pd.DataFrame(
    {
        "label": KIND,
        "weight": np.where(KIND == "a", 1.0, 3.0) + RNG.normal(size=N),
        "visits": RNG.poisson(np.where(KIND == "a", 4, 30)),
        "town": RNG.choice(["Rome", "Bern", "Oslo"], N),
        "income": RNG.lognormal(8, 1, N),
    }
)
SMALL = {
    "network.hidden": (16,), "model.latent_dim": 2, "train.num_epochs": 4, "train.eval_every_epochs": 2,
    "train.batch_size": 16, "evaluate.nll_samples": 5,
}  # fmt: skip
TYPES = {"label": "O", "weight": "f", "visits": "i", "town": "O", "income": "f"}


def assert_is_like_the_table(rows):
    assert list(rows) == list(FRAME)
    assert {name: rows[name].dtype.kind for name in rows} == TYPES
    assert set(rows["label"]) <= {"a", "b"}
    assert set(rows["town"]) <= {"Rome", "Bern", "Oslo"}
    assert (rows["visits"] >= 0).all()
    assert (rows["income"] > 0).all()


@pytest.fixture(scope="module")
def holed():
    return FRAME.mask(np.random.default_rng(1).random(FRAME.shape) < 0.05)


@pytest.fixture(scope="module")
def run(holed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    holed.to_csv(folder / "table.csv", index=False)
    return jaxvae.fit("table_vae", folder / "table.csv", SMALL, workdir=folder / "run", progress=False)


def test_samples_and_reconstructions_are_tables_like_the_data(run, holed):
    samples = run.sample(200)
    assert_is_like_the_table(samples)
    assert len(samples) == 200
    assert samples["income"].nunique() > 100  # draws from p(x|z), not its means
    back = run.reconstruct(holed)
    assert_is_like_the_table(back)
    assert len(back) == N
    assert run.encode(holed).shape == (N, 2)
    assert np.isfinite(run.log_likelihood(holed)).all()
    for made in (samples[:5], back[:5]):  # go in again
        assert np.isfinite(run.encode(made)).all()
        assert np.isfinite(run.log_likelihood(made)).all()


def test_the_likelihood_is_that_of_the_units_of_the_table(run):
    one = FRAME.iloc[:1]
    z = run.encode(one)
    row = run.model.decode(run.params, z)
    x = run.spec.scaled(jaxvae.data.as_stored(run.spec, run.config["data"], one))
    scaled = np.asarray(row.values.log_prob(x))[0]
    weight, income = (list(FRAME).index(name) for name in ("weight", "income"))
    (normal,), (positive,) = ([p for p, places in zip(row.values.parts, row.values.places, strict=True) if i in places]
                              for i in (weight, income))  # fmt: skip
    mean, sd = (float(np.asarray(value).ravel()[0]) for value in (normal.loc, normal.scale))
    own = stats.norm(run.spec.shift[weight] + run.spec.scale[weight] * mean, run.spec.scale[weight] * sd)
    mu, s = (float(np.asarray(value).ravel()[0]) for value in (positive.loc, positive.scale))
    own_income = stats.lognorm(s, scale=np.exp(mu) * run.spec.scale[income])
    wanted = own.logpdf(one["weight"].item()) + own_income.logpdf(one["income"].item())
    found = scaled[[weight, income]].sum() - run.spec.log_scale
    assert found == pytest.approx(wanted, rel=1e-4)


def test_the_saved_run_keeps_the_columns(run):
    again = jaxvae.load(run.workdir)
    assert again.spec == run.spec
    assert {column.kind for column in again.spec.table} == {"binary", "real", "count", "categorical", "positive"}
    pd.testing.assert_frame_equal(again.sample(8), run.sample(8))


@pytest.mark.slow
def test_the_command_line_writes_tables(run, capsys):
    where = ["jaxvae", f"--workdir={run.workdir}"]
    assert main([*where, "--mode=sample", "--config.sample.num=9"], 0.0) == 0
    assert_is_like_the_table(pd.read_csv(run.workdir / "samples.csv"))
    assert main([*where, "--mode=sample", "--config.sample.num=9", "--config.sample.format=parquet"], 0.0) == 0
    assert_is_like_the_table(pyarrow.parquet.read_table(run.workdir / "samples.parquet").to_pandas())
    assert main([*where, "--mode=reconstruct", "--config.sample.num=3"], 0.0) == 0
    both = pd.read_csv(run.workdir / "reconstructions.csv")
    assert list(both) == [*FRAME, *(f"{name} reconstructed" for name in FRAME)]
    assert len(both) == 3
    assert "9 rows, 5 columns" in capsys.readouterr().out


def test_other_rows_are_judged_by_the_columns_of_the_run(run, tmp_path):
    FRAME.iloc[:7, ::-1].to_csv(tmp_path / "other.csv", index=False)
    where = ["jaxvae", f"--workdir={run.workdir}", f"--config.evaluate.data={tmp_path / 'other.csv'}"]
    assert main([*where, "--mode=reconstruct"], 0.0) == 0
    (folder,) = (run.workdir / "other").iterdir()
    found = pd.read_csv(folder / "reconstructions.csv")
    assert found["label"].tolist() == FRAME["label"][:7].tolist()
    np.testing.assert_allclose(found["weight"], FRAME["weight"][:7], rtol=1e-5)
    of_file = run.evaluate(data=tmp_path / "other.csv")
    for rows in (FRAME[:7], {"x_train": FRAME[7:], "x_test": FRAME[:7]}):
        assert run.evaluate(data=rows)["test"] == of_file["test"]
    with pytest.raises(UserError, match=r"The data to evaluate cannot be used: .*lacks 1 of the 5 columns.*town"):
        run.evaluate(data=FRAME.drop(columns="town"))
    with pytest.raises(UserError, match=r"The data to evaluate cannot be used: .*is a ndarray: give a data frame"):
        run.evaluate(data=np.zeros((3, 5)))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            lambda frame: frame.rename(columns={"town": "city"}),
            "'city' was not there, now categorical .*'town' was cat",
        ),
        (lambda frame: frame.assign(visits=frame["visits"] + 0.5), "'visits' was count, now positive"),
        (lambda frame: frame.assign(income=frame["income"] + 1), "its values"),
    ],
)
def test_a_file_whose_columns_changed_is_refused(run, holed, changed, said):
    path = run.workdir.parent / "table.csv"
    before = path.read_bytes()
    try:
        changed(holed).to_csv(path, index=False)
        with pytest.raises(UserError, match=said):
            jaxvae.load(run.workdir).evaluate()
    finally:
        path.write_bytes(before)


def test_a_dictionary_sets_kinds_and_other_likelihoods_are_refused():
    with pytest.raises(UserError, match="is not made for columns of several kinds"):
        jaxvae.fit("table_vae", FRAME, SMALL, model__likelihood="gaussian", progress=False)
    with pytest.raises(UserError, match=r"'weight' .*cannot be a count"):
        jaxvae.fit("table_vae", FRAME, SMALL, data__columns={"weight": "count"}, progress=False)
    with pytest.raises(UserError, match="needs a table"):
        jaxvae.fit("vae", np.zeros((20, 3)), SMALL, model__likelihood="columns", progress=False)


@pytest.mark.slow
def test_synthetic_rows_are_judged_against_the_test_rows(run):
    found = run.evaluate("two_sample,correlations,train_on_synthetic", max_examples=12)["metrics"]
    assert found["two_sample"].keys() >= {"auroc_forest", "auroc_linear", "sampler", "examples"}
    assert 0 <= found["two_sample"]["auroc_forest"] <= 1
    assert 0 <= found["correlations"]["correlation_error"] <= 2
    assert found["train_on_synthetic"].keys() >= {"synthetic_accuracy", "real_accuracy"}


@pytest.mark.slow
def test_a_conditional_model_of_a_table_models_the_other_columns(tmp_path):
    settings = SMALL | {"train.num_epochs": 1, "train.eval_every_epochs": 1, "data.context": "label,town"}
    run = jaxvae.fit("table_vae", FRAME, settings, workdir=tmp_path / "run", progress=False)
    assert [column.name for column in run.spec.table] == ["weight", "visits", "income"]
    assert run.spec.context_dim == 5
    FRAME.iloc[:7].to_csv(tmp_path / "other.csv", index=False)
    where = ["jaxvae", f"--workdir={tmp_path / 'run'}", f"--config.evaluate.data={tmp_path / 'other.csv'}"]
    assert main([*where, "--mode=reconstruct"], 0.0) == 0
    with pytest.raises(UserError, match=r"Unknown column 'city' of data.context"):
        jaxvae.fit("table_vae", FRAME, SMALL, data__context="city", progress=False)


def test_empty_cells_are_imputed_in_the_terms_of_the_table(run, holed):
    filled = run.impute(holed, num_samples=20)
    assert_is_like_the_table(filled)
    for name in holed:
        seen = holed[name].notna()
        assert (
            filled[name][seen].astype(str).tolist() == holed[name][seen].astype(filled[name].dtype).astype(str).tolist()
        )
    draws = run.impute(holed, 2, num_samples=20)
    assert len(draws) == 2
    assert_is_like_the_table(draws[1])


def test_observed_cells_keep_all_their_digits(run):
    frame = FRAME.astype({"visits": "float64"}).iloc[:4].copy()
    frame.loc[frame.index[0], "visits"] = np.nan
    frame.loc[frame.index[1], "weight"] = 1.0 + 2.0**-40  # float32 would round it to 1
    frame.loc[frame.index[2], "income"] = np.nan
    filled = run.impute(frame, num_samples=20)
    for name in ("weight", "visits", "income"):
        seen = frame[name].notna().to_numpy()
        np.testing.assert_array_equal(filled[name][seen], frame[name][seen])
        assert np.isfinite(filled[name]).all()
    for draw in run.impute(frame, 2, num_samples=20):
        assert draw["weight"].iloc[1] == 1.0 + 2.0**-40


def test_chains_do_not_impute_tables(run):
    for method in ("metropolis", "pseudo_gibbs"):
        with pytest.raises(UserError, match=f"'{method}' averages the draws of a chain.*take tool.method=importance"):
            find({"name": "impute", "mask": "random", "method": method}, run._trained)()
    found = find({"name": "impute", "mask": "random", "num": 3, "samples": 5, "nll_samples": 0}, run._trained)()
    assert "effective_samples" in found.numbers
