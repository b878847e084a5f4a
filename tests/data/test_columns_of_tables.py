"""Columns of a table: their kinds by the rule, codes that are undone exactly, statistics, and refusals."""

import jax
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest

from jaxvae import UserError, data, priors
from jaxvae.common.columns import Column
from jaxvae.data import columns
from jaxvae.data.kinds import load_data
from jaxvae.data.rows import rows_of, write_columns
from jaxvae.data.spec import describe

RNG = np.random.default_rng(0)
N = 60
SETTINGS = {
    "kind": "table", "name": "x", "path": "", "binarization": "none", "pixel_range": (), "scaling": "none",
    "image_size": 0, "label": "", "validation_fraction": 0.1, "sequence": {"unit": "word"}, "stream": False,
    "columns": (),
}  # fmt: skip
FRAME = pd.DataFrame(
    {
        "town": RNG.choice(["Rome", "Bern", "Oslo"], N),
        "age": RNG.integers(0, 80, N),
        "grade": RNG.integers(1, 6, N),
        "size": pd.Categorical(RNG.choice(["S", "M", "L"], N), ["S", "M", "L"], ordered=True),
        "income": RNG.lognormal(8, 1, N),
        "change": RNG.normal(size=N),
        "sick": RNG.choice([True, False], N),
        "sex": RNG.choice(["f", "m"], N),
        "label": RNG.integers(0, 3, N),
        "born": pd.Timestamp("2020-01-01"),
    }
)
KINDS = {
    "town": "categorical", "age": "count", "grade": "ordinal", "size": "ordinal", "income": "positive",
    "change": "real", "sick": "binary", "sex": "binary", "label": "categorical",
}  # fmt: skip


def holed(frame, share=0.2):
    """The frame with cells left out."""
    hidden = np.random.default_rng(1).random(frame.shape) < share
    return frame.mask(hidden)


def spec_of(frame, **changed):
    settings = {**SETTINGS, **changed}
    return describe(data.as_dataset(frame, settings), settings)[0], settings


def test_the_rule_finds_the_kinds_and_prints_them():
    made = data.as_dataset(FRAME, SETTINGS)
    assert {column.name: column.kind for column in made.table} == KINDS
    assert {column.name: column.type for column in made.table if column.name in ("age", "sick", "sex", "income")} == {
        "age": "int", "sick": "bool", "sex": "text", "income": "float",
    }  # fmt: skip
    assert made.table[3].categories == ("S", "M", "L")
    assert made.notes == (
        "1 real column (Gaussian): change",
        "1 positive column (log-normal): income",
        "1 count column (Poisson): age",
        "2 ordinal columns (cumulative logit): grade, size",
        "2 categorical columns (categorical): town, label",
        "2 binary columns (Bernoulli): sick, sex",
        "columns that are not used: born",
        "another kind of a column: data.columns=NAME=KIND",
    )
    assert made.columns == tuple(KINDS)
    np.testing.assert_array_equal(made.class_names, ["0", "1", "2"])
    np.testing.assert_array_equal(made.train.label, made.train.x[:, -1])


def test_empty_cells_of_the_label_are_unknown_classes_which_is_said():
    frame = FRAME.assign(label=FRAME["label"].where(FRAME.index % 2 == 0))
    made = data.as_dataset(frame, SETTINGS)
    is_known = made.train.mask[:, -1]
    assert 0 < is_known.sum() < len(is_known)
    np.testing.assert_array_equal(made.train.label, np.where(is_known, made.train.x[:, -1], -1))
    assert "the label 'label' is empty in 30 of 60 rows, which have none" in made.notes
    beside = data.as_dataset(frame, {**SETTINGS, "context": "label"})
    np.testing.assert_array_equal(beside.train.label, made.train.label)
    assert "label" not in beside.columns


def test_labels_of_other_rows_are_those_of_the_classes_that_are_known():
    def labels(values):
        other = FRAME.assign(label=[*values, *[None] * (N - len(values))])
        return columns.like_table(made.table, other, "other", "", "label", made.class_names).label

    made = data.as_dataset(FRAME, {**SETTINGS, "context": "label"})
    np.testing.assert_array_equal(labels([2, None, 0]), [2, -1, 0, *[-1] * (N - 3)])
    assert labels([]) is None  # no row has one
    assert labels([2, 5]) is None  # 5 is no class of the run


def test_kinds_can_be_changed_and_columns_left_out():
    asked = ("age=real", "grade=categorical", "town=ignore", "income=real")
    made = data.as_dataset(FRAME, {**SETTINGS, "columns": asked})
    kinds = {column.name: column.kind for column in made.table}
    assert kinds == {
        name: kind
        for name, kind in (KINDS | {"age": "real", "grade": "categorical", "income": "real"}).items()
        if name != "town"
    }


@pytest.mark.parametrize("frame", [FRAME, holed(FRAME)])
def test_codes_are_undone_to_the_same_names_types_and_values(frame):
    spec, settings = spec_of(frame)
    made = data.as_dataset(frame, settings)
    stored = columns.encode_like(spec.table, frame, "x")
    assert stored.dtype == np.float32
    assert int(np.isnan(stored).sum()) == int(frame[list(KINDS)].isna().sum().sum())
    back = rows_of(spec.table, spec.unscaled(spec.scaled(np.nan_to_num(stored))))
    for column in spec.table:
        seen = frame[column.name].notna().to_numpy()
        wanted = frame[column.name][seen].to_numpy()
        assert back[column.name].dtype.kind == {"text": "O", "int": "i", "bool": "b", "float": "f"}[column.type]
        if column.type == "float":
            np.testing.assert_allclose(back[column.name][seen], wanted.astype(float), rtol=1e-5, atol=1e-6)
        else:
            assert back[column.name][seen].tolist() == wanted.tolist()
    masks = [split.mask for split in (made.train, made.validation, made.test)]
    hidden = 0 if masks[0] is None else sum(int((~mask).sum()) for mask in masks)
    assert hidden == int(np.isnan(stored).sum())


def test_statistics_are_those_of_observed_training_values():
    spec, settings = spec_of(holed(FRAME))
    train = data.as_dataset(holed(FRAME), settings).train
    seen = {c.name: train.x[train.mask[:, i], i].astype(float) for i, c in enumerate(spec.table)}
    fitted = {column.name: column for column in spec.table}
    scaled = dict(zip(fitted, zip(spec.shift, spec.scale, strict=True), strict=True))
    assert scaled["change"] == pytest.approx((seen["change"].mean(), seen["change"].std()))
    assert scaled["income"] == pytest.approx((0, np.exp(np.log(seen["income"]).mean())))
    assert scaled["age"] == scaled["town"] == (0, 1)
    assert fitted["income"].spread == pytest.approx(np.log(seen["income"]).std(), rel=1e-5)
    assert (fitted["age"].centre, fitted["age"].spread) == pytest.approx(
        (np.log1p(seen["age"]).mean(), np.log1p(seen["age"]).std())
    )
    counts = np.bincount(seen["town"].astype(int)) + 1
    assert fitted["town"].frequencies == pytest.approx(counts / counts.sum())


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_survives_a_file(tmp_path, suffix):
    path = tmp_path / f"table{suffix}"
    spec, _ = spec_of(FRAME)
    write_columns(path, rows_of(spec.table, columns.encode_like(spec.table, FRAME, "x")))
    made = load_data({**SETTINGS, "path": str(path), "columns": ("size=categorical",)})
    assert made.columns == tuple(KINDS)
    found = np.concatenate([made.train.x, made.validation.x, made.test.x])
    rows = np.concatenate([made.rows_of(split) for split in ("train", "validation", "test")])
    again = columns.encode_like(made.table, FRAME.astype({"size": str}), "x")
    np.testing.assert_allclose(found, again[rows], rtol=1e-6)


def test_bundled_tables_have_their_own_units_and_class_names():
    sizes = {"wine": (178, 14), "diabetes": (442, 11), "breast_cancer": (569, 31)}
    for name, size in sizes.items():
        made = load_data({**SETTINGS, "name": name})
        assert (sum(len(split.x) for split in (made.train, made.validation, made.test)), len(made.columns)) == size
        assert made.columns[-1] == "target"
    assert made.class_names == ("benign", "malignant")


def changed(**values):
    return FRAME.assign(**values)


@pytest.mark.parametrize(
    ("frame", "settings", "said"),
    [
        (FRAME, {"context": ",".join(KINDS)}, "All columns of the table .* are its context"),
        (changed(age=np.nan), {}, "All 60 values of the column 'age' are missing. .*data.columns=age=ignore"),
        (changed(age=[np.inf, *range(1, N)]), {}, "The column 'age' has infinite values, 1 of them"),
        (changed(age=7), {}, "'age' has one value only, 7.0, in all 60 rows"),
        (changed(town=[f"row {i}" for i in range(N)]), {}, "'town' has 60 categories in 60 rows"),
        (FRAME, {"columns": ("town=count",)}, "cannot be a count"),
        (FRAME, {"columns": ("town=real",)}, "'town' .* must be numbers"),
        (FRAME, {"columns": ("change=positive",)}, "'change' .* is positive, but its least value is -"),
        (changed(income=1e-40), {"columns": ("income=positive",)}, "'income' has one value only"),
        (changed(income=[1e-40, *range(1, N)]), {"columns": ("income=positive",)}, "its least value is 1e-40. .*real"),
        (FRAME, {"columns": ("change=count",)}, "'change' cannot be a count"),
        (FRAME, {"columns": ("town=ordinal",)}, "'town' is text without an order"),
        (FRAME, {"columns": ("grade=binary",)}, "'grade' cannot be binary: it has 5"),
        (FRAME, {"columns": ("weight=real",)}, "Unknown column 'weight' of '.*' in data.columns"),
        (FRAME, {"columns": ("age=integer",)}, "Unknown kind of column 'integer'"),
        (FRAME, {"columns": ("age",)}, "entry is name=kind"),
        (FRAME, {"label": "color"}, "Unknown column 'color'"),
        (FRAME, {"scaling": "unit"}, "data.scaling is 'unit', but each column of a table is scaled by its kind"),
        (FRAME[["born"]], {}, "no column to learn from, but born"),
        (np.zeros((3, 2)), {}, "the data is a ndarray: give a data frame"),
    ],
)
def test_tables_and_kinds_that_cannot_work_are_refused(frame, settings, said):
    with pytest.raises(UserError, match=said):
        data.as_dataset(frame, {**SETTINGS, **settings})


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (FRAME.drop(columns=["age", "sex"]), "lacks 2 of the 9 columns .* age, sex"),
        (changed(town="Paris"), "'town' of 'x' has 1 values that are not among its categories: Paris. Known: Bern"),
        (changed(age="old"), "'age' of 'x' must be numbers"),
        (changed(income=-1.0), "'income' of 'x' is positive, but its least value is -1"),
    ],
)
def test_rows_that_do_not_fit_the_columns_of_a_run_are_refused(frame, said):
    spec, settings = spec_of(FRAME)
    with pytest.raises(UserError, match=said):
        data.as_stored(spec, settings, frame)


def test_splits_can_be_data_frames_of_their_own():
    made = data.as_dataset({"x_train": FRAME[:40], "x_test": FRAME[40:]}, {**SETTINGS, "validation_fraction": 0.0})
    assert [len(split.x) for split in (made.train, made.validation, made.test)] == [40, 0, 20]
    np.testing.assert_array_equal(made.test.label, FRAME["label"][40:])
    np.testing.assert_allclose(made.test.x[:, 4], FRAME["income"][40:], rtol=1e-6)


def test_numbers_stay_in_the_range_of_their_kind():
    values = np.float32([[-1.0, 0.2, 2.6], [-0.3, 0.4, 7.0], [0.0, 1.2, 3.4]]).T
    table = [Column("whole", "positive", "int"), Column("count", "count", "int"), Column("size", "positive")]
    found = rows_of(table, values)
    assert found["whole"].tolist() == [1, 1, 3]
    assert found["count"].tolist() == [0, 0, 7]
    assert (found["size"] > 0).all()
    np.testing.assert_array_equal(found["size"][1:], values[1:, 2])


def test_pseudo_inputs_of_a_table_are_in_the_range_of_each_column():
    spec, settings = spec_of(holed(FRAME))
    rows = spec.scaled(np.asarray(data.as_dataset(FRAME, settings).train.x, np.float32))
    found = []
    vamp = priors.vamp(spec.shape, spec.value_range, components=200, table=spec.table)
    keep = lambda x: found.append(x) or dist.Normal(x, 1.0).to_event(1)  # noqa: E731
    vamp.build({"pseudo_inputs": 5 * vamp.init(jax.random.key(0))["pseudo_inputs"]}, keep)
    inputs = np.asarray(found[0])
    for column, made, seen in zip(spec.table, inputs.T, rows.T, strict=True):
        assert seen.min() - 1e-5 <= column.low <= made.min() < made.max() <= column.high <= seen.max() + 1e-5
        assert made.max() - made.min() > 0.9 * (column.high - column.low)
