"""What a context is made of, and values that a user gives in their own terms."""

import numpy as np
import pytest

from jaxvae import UserError, data
from jaxvae.data.context import Field, conditioned
from jaxvae.data.spec import DataSpec
from jaxvae.data.wanted import said, wanted

RNG = np.random.default_rng(0)
KINDS = np.array(["cat", "dog", "owl"])[np.arange(60) % 3]
AGE = RNG.normal(40.0, 10.0, 60)
ARRAYS = {"x": RNG.uniform(size=(60, 4, 6)).astype(np.float32), "y": KINDS, "age": AGE, "site": np.arange(60) % 2 + 5,
          "factors": np.stack([np.arange(60) % 4, np.arange(60) % 5], 1),
          "factor_names": np.array(["shape", "scale"])}  # fmt: skip


def made(asked, arrays=ARRAYS, **options):
    whole = data.from_arrays("toy", arrays, context=asked, **options)
    dataset, fields = conditioned(whole, asked)
    return dataset, fields


def spec_of(dataset, fields):
    return DataSpec(dataset.shape, is_float=True, context_dim=dataset.context_dim, max_value=1.0, dtype="float32",
                    context=fields)  # fmt: skip


SETTINGS = {"binarization": "none", "image_size": 0, "pixel_range": (0.0, 1.0)}


def test_labels_are_one_hot():
    dataset, (field,) = made("label")
    assert (field.name, field.kind, field.classes) == ("label", "class", ("cat", "dog", "owl"))
    for split in (dataset.train, dataset.validation, dataset.test):
        np.testing.assert_array_equal(split.context, np.eye(3)[split.label])


def test_fields_are_joined_in_the_order_asked_for():
    dataset, fields = made("age, scale,site,shape")
    assert [(field.name, field.kind, field.size) for field in fields] == [
        ("age", "number", 1), ("scale", "class", 5), ("site", "class", 2), ("shape", "class", 4),
    ]  # fmt: skip
    train, rows = dataset.train, dataset.rows_of("train")
    age = (AGE[rows] - AGE[rows].mean()) / AGE[rows].std()
    parts = [age[:, None], np.eye(5)[rows % 5], np.eye(2)[rows % 2], np.eye(4)[rows % 4]]
    np.testing.assert_allclose(train.context, np.concatenate(parts, 1), atol=1e-5)
    assert made("factors")[1] == made("shape,scale")[1]


def test_splits_of_a_file_have_their_own_arrays():
    halves = {f"{key}_{split}": ARRAYS[key][rows] for key in ("x", "age")
              for split, rows in (("train", slice(40)), ("test", slice(40, 60)))}  # fmt: skip
    dataset, (field,) = made("age", halves)
    np.testing.assert_allclose(dataset.test.context[:, 0] * field.scale + field.shift, AGE[40:], rtol=1e-4)


def test_whole_numbers_of_many_values_are_scaled_and_matrices_taken_as_they_are():
    many = np.arange(300)
    dataset, (number, array) = made("many,wide", {"x": RNG.uniform(size=(300, 3)), "many": many,
                                                  "wide": np.stack([many, -many], 1)})  # fmt: skip
    assert (number.kind, array.kind, array.size) == ("number", "array", 2)
    rows = dataset.rows_of("test")
    np.testing.assert_array_equal(dataset.test.context[:, 1:], np.stack([rows, -rows], 1))


def test_columns_of_a_table_and_annotations_are_no_features():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": AGE, "b": AGE**2, "kind": KINDS, "site": np.arange(60) % 2})
    settings = {
        "context": "kind,site",
        "label": "",
        "image_size": 0,
        "validation_fraction": 0.1,
        "binarization": "none",
    }
    whole = data.as_dataset(frame, settings)
    assert whole.columns == ("a", "b")
    dataset, fields = conditioned(whole, "kind,site")
    assert [field.classes for field in fields] == [("cat", "dog", "owl"), ("0", "1")]
    rows = dataset.rows_of("test")
    np.testing.assert_array_equal(dataset.test.context, np.concatenate([np.eye(3)[rows % 3], np.eye(2)[rows % 2]], 1))
    with pytest.raises(UserError, match=r"Unknown column 'kin' of data.context in 'arrays'. Did you mean 'kind'"):
        data.as_dataset(frame, {**settings, "context": "kin"})


def test_quadrants_are_the_context_and_the_rest_is_modelled():
    dataset, fields = made("bottom_left,top_right")
    assert [(field.kind, field.size) for field in fields] == [("pixels", 6), ("pixels", 6)]
    x, mask = dataset.train.x, dataset.train.mask
    np.testing.assert_array_equal(dataset.train.context[:, :6], x[:, 2:, :3].reshape(len(x), -1))
    np.testing.assert_array_equal(dataset.train.context[:, 6:], x[:, :2, 3:].reshape(len(x), -1))
    assert mask[:, :2, :3].all()
    assert mask[:, 2:, 3:].all()
    assert not mask[:, 2:, :3].any()
    spec = spec_of(dataset, fields)
    np.testing.assert_array_equal(wanted(spec, SETTINGS, x[:5]), dataset.train.context[:5])
    np.testing.assert_array_equal(wanted(spec, SETTINGS, {"x": x[:5]}), dataset.train.context[:5])


def test_the_total_of_counts_is_scaled_by_its_logarithm():
    counts = RNG.poisson(50.0, (60, 4)).astype(np.int32)
    dataset, (field,) = made("total", {"x": counts})
    total = counts.sum(axis=1)[dataset.rows_of("train")]
    logs = np.log(total)
    np.testing.assert_allclose(dataset.train.context[:, 0], (logs - logs.mean()) / logs.std(), atol=1e-5)
    spec = spec_of(dataset, (field,))
    np.testing.assert_allclose(wanted(spec, SETTINGS, total[:3]), dataset.train.context[:3], atol=1e-5)
    assert said((field,), dataset.train.context[0]) == f"total = {total[0]}"
    with pytest.raises(UserError, match="a sum of counts, and must be above 0"):
        wanted(spec, SETTINGS, 0)
    with pytest.raises(UserError, match="'total', the sum of an example's counts, but 'toy' is not counts"):
        made("total", {"x": counts.astype(np.float32)})


LABELS = Field("label", "class", 3, (0, 1, 2), ("cat", "dog", "owl"))
NUMBER = Field("age", "number", shift=40.0, scale=10.0)
PAIR = (LABELS, NUMBER)


def encoded(fields, given):
    return wanted(DataSpec((2,), context_dim=sum(field.size for field in fields), context=fields), SETTINGS, given)


@pytest.mark.parametrize(
    ("fields", "given", "expected"),
    [
        ((LABELS,), "dog", [[0, 1, 0]]),
        ((LABELS,), 2, [[0, 0, 1]]),
        ((LABELS,), "0,owl", [[1, 0, 0], [0, 0, 1]]),
        ((LABELS,), ["dog", "dog"], [[0, 1, 0]] * 2),
        ((LABELS,), np.array([2.0, 0.0]), [[0, 0, 1], [1, 0, 0]]),
        ((LABELS,), [[0.5, 0.5, 0.0]], [[0.5, 0.5, 0]]),
        ((LABELS,), [[0, 1, 0]], [[0, 1, 0]]),
        ((NUMBER,), "30;50", [[-1], [1]]),
        ((NUMBER,), 60, [[2]]),
        (PAIR, {"age": [30, 50], "label": "cat"}, [[1, 0, 0, -1], [1, 0, 0, 1]]),
        (PAIR, "label=owl, age=40; label=cat, age=50", [[0, 0, 1, 0], [1, 0, 0, 1]]),
        (PAIR, "dog,40", [[0, 1, 0, 0]]),
        (PAIR, ("dog", 30.0), [[0, 1, 0, -1]]),
        ((Field("context", "array", 2),), [1, 2], [[1, 2]]),
        ((Field("context", "array", 2),), "1,2;3,4", [[1, 2], [3, 4]]),
    ],
)
def test_a_context_in_the_users_own_terms(fields, given, expected):
    np.testing.assert_array_equal(encoded(fields, given), np.asarray(expected, np.float32))


def test_a_context_from_a_file(tmp_path):
    np.savez(tmp_path / "asked.npz", label=np.array(["owl", "cat"]), age=np.array([40.0, 60.0]))
    np.testing.assert_array_equal(encoded(PAIR, f"{tmp_path}/asked.npz"), [[0, 0, 1, 0], [1, 0, 0, 2]])


@pytest.mark.parametrize(
    ("fields", "given", "message"),
    [
        ((LABELS,), "cow", r"Unknown class 'cow' of the context 'label'.* Known: cat, dog, owl"),
        ((LABELS,), 7, "Unknown class '7'"),
        ((NUMBER,), "old", "The context 'age' takes numbers, not 'old'"),
        ((NUMBER,), float("nan"), "The context 'age' must be finite numbers"),
        (PAIR, {"label": "cat"}, r"The context lacks 'age'; it has label. .*label \(cat, dog, owl\); age \(a number\)"),
        (PAIR, {"label": ["cat"] * 2, "age": [1, 2, 3]}, "need one length, here 3, or 1: 'label' 2"),
        (
            PAIR,
            {"label": "cat", "age": 3, "size": 1},
            r"The context has 'size', but the run is not conditional on it: lab",
        ),
        (PAIR, "label=cat,age=3,size=1", "'size'"),
        (PAIR, "cat", r"given as \[1, 1\] values; it has 2 fields"),
        ((Field("context", "array", 2),), [1, 2, 3], "The context 'context' is 2 numbers, but 3 were given"),
        ((LABELS,), "missing.npz", "The context 'missing.npz' does not exist"),
        ((), 3, "the run is not conditional"),
    ],
)
def test_a_context_that_does_not_fit_is_refused(fields, given, message):
    with pytest.raises(UserError, match=message):
        encoded(fields, given)


@pytest.mark.parametrize(
    ("asked", "arrays", "message"),
    [
        ("colour", {}, r"Unknown array 'colour' of data.context in 'toy'"),
        ("label", {"y": None}, "Unknown context 'label' of the data 'toy', in data.context"),
        ("factors", {"factors": None, "factor_names": None}, "Unknown context 'factors'"),
        ("site", {"site": np.full(60, 5)}, "'site', which is 5 in every example"),
        (
            "name",
            {
                "x": np.zeros((200, 3)),
                "name": np.array([f"n{i}" for i in range(200)]),
                "y": None,
                "age": None,
                "site": None,
                "factors": None,
                "factor_names": None,
            },
            "strings of 200 different values",
        ),
        ("age", {"age": np.where(AGE > 40, np.nan, AGE)}, "'age', which holds values that are NaN"),
        ("age", {"age": AGE[:50]}, "has 60 examples, but the context 50 rows"),
        ("top_left,top_right,bottom_left,bottom_right", {}, "nothing is left to model"),
    ],
)
def test_a_context_that_the_data_lacks_is_refused(asked, arrays, message):
    arrays = {key: array for key, array in {**ARRAYS, **arrays}.items() if array is not None}
    with pytest.raises(UserError, match=message):
        made(asked, arrays)


def test_a_class_without_training_examples_is_named():
    arrays = {"x_train": np.zeros((20, 3)), "x_test": np.zeros((20, 3)), "y_train": np.arange(20) % 2,
              "y_test": np.arange(20) % 3}  # fmt: skip
    dataset, (field,) = made("label", arrays)
    assert field.size == 3
    assert any("No training example has the context label = 2" in note for note in dataset.notes)
    assert dataset.train.context.sum(0)[2] == 0
