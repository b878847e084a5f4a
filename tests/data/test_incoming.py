"""Data as it comes to a trained run: converted as the training data was, or refused with what was expected."""

import numpy as np
import pandas as pd
import pytest

import jaxvae
from jaxvae import UserError, data
from jaxvae.data.own_units import viewed
from jaxvae.data.scaling import without_pixels
from jaxvae.data.spec import describe

SETTINGS = {
    "kind": "images", "name": "x", "path": "", "binarization": "none", "pixel_range": (0.0, 1.0), "scaling": "none",
    "image_size": 0, "label": "", "validation_fraction": 0.1, "sequence": {"unit": "word"},
    "data_dir": "", "cache_dir": "", "stream": False,
}  # fmt: skip
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 6, 5), np.uint8)
TABLE = RNG.normal(size=(40, 3)) * 10


def spec_of(x, **changed):
    settings = {**SETTINGS, **changed}
    return describe(data.as_dataset(x, settings), settings)[0], settings


@pytest.mark.parametrize(
    "given", [PIXELS, PIXELS[..., None], PIXELS.astype(int), PIXELS.astype(float), PIXELS.tolist()]
)
def test_images_with_or_without_a_channel_axis_become_the_stored_ones(given):
    stored = data.as_stored(*spec_of(PIXELS), given)
    assert stored.dtype == np.uint8
    np.testing.assert_array_equal(stored, PIXELS[..., None])


def test_images_are_resized_and_binarised_as_in_training():
    spec, settings = spec_of(PIXELS[:, :5], image_size=2, binarization="threshold")
    stored = data.as_stored(spec, settings, PIXELS[:, :5])
    made = data.as_dataset(PIXELS[:, :5], settings)
    everything = np.concatenate([made.train.x, made.validation.x, made.test.x])
    assert set(np.unique(stored)) <= {0, 1}
    assert sorted(map(bytes, stored)) == sorted(map(bytes, everything))


@pytest.mark.parametrize(
    ("x", "given", "said"),
    [
        (PIXELS, PIXELS / 255, r"floats from 0 to 1; the run was trained on whole numbers from 0 to 255"),
        (PIXELS, PIXELS.astype(int) - 1, "values from -1 to 254"),
        (PIXELS, PIXELS[0], r"shape \(6, 5\); the run was trained on .* of shape \[N, 6, 5, 1\]. A single example"),
        (PIXELS, PIXELS[:, :3], r"shape \(40, 3, 5, 1\)"),
        (PIXELS, PIXELS.astype(str), "type <U3"),
        (PIXELS / 255, PIXELS, "values from 0 to 255; the run was trained on floats in"),
        (TABLE, TABLE[:, :2], r"shape \(40, 2\); the run was trained on real values of shape \[N, 3\]"),
        (TABLE, np.where(TABLE > 20, np.nan, TABLE), "values that are NaN, the first in row"),
        (TABLE, [[1.0, 2.0], [3.0]], "different shapes"),
    ],
)
def test_data_that_does_not_fit_is_refused(x, given, said):
    with pytest.raises(UserError, match=said):
        data.as_stored(*spec_of(x), given)


def test_scaled_rows_are_real_values_of_any_range_whatever_the_type_they_came_in():
    spec, settings = spec_of(RNG.integers(0, 5, (40, 2)), scaling="standardize")
    rows = np.array([[0, 1], [1, 1], [-1, 300], [0.5, 1e6]])
    np.testing.assert_array_equal(data.as_stored(spec, settings, rows), rows)
    assert viewed({"data": settings}, spec, spec.scaled(rows)).max() == pytest.approx(1e6)


def test_whole_numbers_in_named_columns_are_real_values_and_not_pixels():
    table = pd.DataFrame({"age": RNG.integers(18, 90, 40), "n": RNG.integers(0, 9, 40)})
    made = data.as_dataset(table, SETTINGS)
    now = without_pixels(made, SETTINGS)
    assert (made.train.x.dtype, now.train.x.dtype, now.max_value) == (np.uint8, np.float32, 1)
    np.testing.assert_array_equal(now.test.x, made.test.x)
    for kept in ({"pixel_range": ()}, {"binarization": "dynamic"}):
        assert without_pixels(made, {**SETTINGS, **kept}) is made
    of_bits = data.as_dataset(table % 2, SETTINGS)
    assert without_pixels(of_bits, SETTINGS) is of_bits
    with pytest.raises(UserError, match=r"'bernoulli' needs data in .*, but the data holds real values from"):
        jaxvae.fit("vae", table, progress=False)


def test_a_run_of_an_earlier_version_does_not_guess():
    with pytest.raises(UserError, match="earlier version"):
        data.as_stored(data.DataSpec((6, 5, 1)), SETTINGS, PIXELS)


def test_sentences_become_tokens_of_the_vocabulary():
    spec = data.DataSpec((4,), 4, False, "text", ("<eos>", "<unk>", "a", "b"), 0, "int32", 3.0)
    stored = data.as_stored(spec, SETTINGS, ["a b", "b new"])
    np.testing.assert_array_equal(stored, [[2, 3, 0, -1], [3, 1, 0, -1]])
    np.testing.assert_array_equal(data.as_stored(spec, SETTINGS, stored), stored)
    with pytest.raises(UserError, match="at most 3"):
        data.as_stored(spec, SETTINGS, ["a a a a"])
    with pytest.raises(UserError, match="numbers from 0 to 4"):
        data.as_stored(spec, SETTINGS, np.array([[4, 0, 0, 0]]))


def test_a_data_set_may_be_an_array_a_list_a_dictionary_a_path_or_a_name(tmp_path):
    np.save(tmp_path / "a.npy", PIXELS)
    made = [
        data.as_dataset(x, SETTINGS) for x in (PIXELS, PIXELS.tolist(), {"x": PIXELS}, tmp_path / "a.npy")
    ]  # fmt: skip
    for each in made:
        np.testing.assert_array_equal(each.train.x, made[0].train.x)
    assert data.as_dataset("digits", SETTINGS).shape == (8, 8, 1)
    assert data.as_dataset(made[0], SETTINGS) is made[0]


def test_string_labels_are_encoded_in_sorted_order_over_all_splits():
    names = np.array(["dog", "cat"] * 20)
    made = data.as_dataset(
        {"x": PIXELS, "y": names, "x_test": PIXELS[:2], "y_test": np.array(["cat", "bee"])}, SETTINGS
    )
    assert made.class_names == ("bee", "cat", "dog")
    np.testing.assert_array_equal(made.test.label, [1, 0])
    assert set(made.train.label) == {1, 2}
    with pytest.raises(UserError, match="strings in train and numbers in test"):
        data.as_dataset({"x_train": PIXELS, "y_train": names, "x_test": PIXELS, "y_test": np.arange(40)}, SETTINGS)


def test_the_arrays_used_and_those_ignored_are_said():
    arrays = {"faces": PIXELS, "person": np.arange(40) % 3, "mood": np.arange(40)}
    made = data.as_dataset(arrays, {**SETTINGS, "label": "person"})
    assert made.notes == ("'arrays': x is 'faces' [40, 6, 5]; with it 'person'; not used: 'mood' [40]",)
    assert set(made.train.label) == {0, 1, 2}
    assert data.as_dataset({"x": PIXELS, "y": arrays["person"]}, SETTINGS).notes == ()
    with pytest.raises(UserError, match=r"Unknown array 'persons' .* Did you mean 'person'\? Known: mood, person"):
        data.as_dataset(arrays, {**SETTINGS, "label": "persons"})
