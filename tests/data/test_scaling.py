"""Real values of any range: `data.scaling`, what a run remembers of it, and its Jacobian in likelihoods."""

import jax
import numpy as np
import pytest
from scipy import stats

from jaxvae import UserError, data
from jaxvae.data.own_units import shown, viewed
from jaxvae.data.scaling import fit
from jaxvae.data.spec import describe, fitted, preprocess_of

SETTINGS = {
    "binarization": "none", "pixel_range": (0.0, 1.0), "scaling": "none", "image_size": 0, "label": "",
    "validation_fraction": 0.1,
}  # fmt: skip
RNG = np.random.default_rng(0)
TABLE = (RNG.normal(size=(60, 3)) * [1.0, 100.0, 1e-3] + [0.0, -500.0, 7.0]).astype(np.float32)
KEY = jax.random.key(0)


def prepared(x, **changed):
    """A data set, its spec and its preprocessing."""
    settings = {**SETTINGS, **changed}
    dataset = data.from_arrays("mine", x if isinstance(x, dict) else {"x": x})
    spec, notes = describe(dataset, settings)
    return dataset, spec, preprocess_of({"data": settings}, spec), notes


def test_standardised_features_have_mean_0_and_deviation_1_on_the_training_split():
    dataset, spec, preprocess, notes = prepared(TABLE, scaling="standardize")
    x = np.asarray(preprocess(KEY, dataset.train.x), np.float64)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-3)  # 7 / 1e-3 loses 3 digits of float32
    np.testing.assert_allclose(x.std(axis=0), 1, rtol=1e-3)
    np.testing.assert_allclose(spec.shift, dataset.train.x.mean(axis=0, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(spec.scale, dataset.train.x.std(axis=0, dtype=np.float64), rtol=1e-6)
    assert spec.is_real
    assert spec.is_float
    assert notes == ()
    low, high = spec.value_range
    assert (low, high) == (pytest.approx(x.min(), abs=1e-3), pytest.approx(x.max(), abs=1e-3))


@pytest.mark.parametrize("pixel_range", [(0.0, 1.0), (-1.0, 1.0), ()])
def test_unit_scaling_maps_each_feature_to_the_pixel_range(pixel_range):
    dataset, spec, preprocess, _ = prepared(TABLE, scaling="unit", pixel_range=pixel_range)
    x = np.asarray(preprocess(KEY, dataset.train.x))
    low, high = pixel_range or (0.0, 1.0)
    np.testing.assert_allclose(x.min(axis=0), low, atol=5e-4)  # 7 / 1e-3 loses digits of float32, as above
    np.testing.assert_allclose(x.max(axis=0), high, atol=5e-4)
    assert spec.value_range == (low, high)


def test_images_are_scaled_by_channel():
    images = RNG.integers(0, 256, (40, 4, 5, 3), np.uint8)
    dataset, spec, preprocess, _ = prepared(images, scaling="standardize")
    x = np.asarray(preprocess(KEY, dataset.train.x), np.float64)
    np.testing.assert_allclose(x.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(axis=(0, 1, 2)), 1, rtol=1e-5)
    assert spec.log_scale == pytest.approx(20 * np.log(spec.scale).sum())
    own = viewed({"data": SETTINGS}, spec, x)
    np.testing.assert_allclose(own, dataset.train.x, atol=1e-3)
    np.testing.assert_allclose(shown(spec, own), dataset.train.x / 255, atol=1e-5)


def test_outputs_are_in_the_datas_own_units_and_pictures_in_0_to_1():
    dataset, spec, preprocess, _ = prepared(TABLE, scaling="standardize")
    own = viewed({"data": SETTINGS}, spec, 3 * preprocess(KEY, dataset.train.x))  # far outside the data's range
    np.testing.assert_allclose(own, spec.shift + 3 * (dataset.train.x - np.float32(spec.shift)), rtol=1e-3, atol=1e-3)
    assert shown(spec, own).min() >= 0
    assert shown(spec, own).max() <= 1


def test_a_constant_feature_is_shifted_and_named():
    table = np.concatenate([TABLE, np.full((60, 1), 5.0)], axis=1)
    dataset, spec, preprocess, notes = prepared(table, scaling="standardize")
    assert spec.scale[3] == 1
    assert np.all(preprocess(KEY, dataset.train.x)[:, 3] == 0)
    assert "constant" in notes[0]
    assert notes[0].endswith(": 3")


def test_statistics_are_of_observed_values_alone():
    mask = RNG.random(TABLE.shape) < 0.7
    junk = np.where(mask, TABLE, np.nan)
    dataset, spec, _, _ = prepared({"x": junk, "mask": mask}, scaling="standardize")
    train = np.where(dataset.train.mask, dataset.train.x.astype(np.float64), np.nan)
    np.testing.assert_allclose(spec.shift, np.nanmean(train, axis=0), rtol=1e-6)
    np.testing.assert_allclose(spec.scale, np.nanstd(train, axis=0), rtol=1e-6)
    logs = np.log(spec.scale)
    np.testing.assert_allclose(
        spec.observed_log_scale(dataset.test.mask), dataset.test.mask.astype(float) @ logs, rtol=1e-12
    )


def test_the_jacobian_turns_scaled_log_densities_into_those_of_the_data():
    dataset, spec, preprocess, _ = prepared(TABLE, scaling="standardize")
    x = np.asarray(preprocess(KEY, dataset.test.x), np.float64)
    mean, variance = np.array([0.3, -0.2, 0.1]), 0.49
    scaled = stats.norm(mean, variance**0.5).logpdf(x).sum(axis=1)
    own = stats.norm(mean * spec.scale + spec.shift, variance**0.5 * np.array(spec.scale))
    exact = own.logpdf(dataset.test.x.astype(np.float64)).sum(axis=1)
    np.testing.assert_allclose(scaled - spec.log_scale, exact, rtol=1e-3)


def test_unscaled_data_is_as_before():
    _, spec, _, _ = prepared(RNG.random((40, 3)))
    assert (spec.value_range, spec.shift, spec.scale, spec.log_scale) == ((), (), (), 0.0)
    dataset, spec, preprocess, _ = prepared(TABLE)
    np.testing.assert_array_equal(preprocess(KEY, dataset.train.x), dataset.train.x)  # real values stay as they are
    np.testing.assert_array_equal(viewed({"data": SETTINGS}, spec, dataset.train.x), dataset.train.x)
    assert spec.value_range == (TABLE.min(), TABLE.max())


def test_values_outside_the_training_range_are_clipped_for_a_bounded_likelihood_alone():
    splits = {"x_train": TABLE[:40], "x_validation": TABLE[40:50], "x_test": TABLE[50:] * 3}
    dataset, spec, _, _ = prepared(splits, scaling="unit")
    assert fitted(spec, dataset, None) == (spec, ())
    clipped, notes = fitted(spec, dataset, (0.0, 1.0))
    settings = {**SETTINGS, "scaling": "unit"}
    free = np.asarray(preprocess_of({"data": settings}, spec)(KEY, dataset.test.x))
    bounded = np.asarray(preprocess_of({"data": settings}, clipped)(KEY, dataset.test.x))
    np.testing.assert_array_equal(bounded, np.clip(free, 0, 1))
    validation = spec.scaled(dataset.validation.x)
    outside = sum(int(((x < 0) | (x > 1)).sum()) for x in (free, validation))
    assert notes[0].startswith(f"{outside} values")


@pytest.mark.parametrize(
    ("x", "changed", "said"),
    [
        (TABLE, {"pixel_range": (-1.0, 1.0)}, "Set data.scaling to 'unit'"),
        (TABLE, {"pixel_range": (-1.0, 1.0), "scaling": "standardize"}, "has no meaning"),
        (TABLE, {"scaling": "unit", "binarization": "dynamic"}, "binary values are not scaled"),
        (TABLE, {"scaling": "z"}, "Unknown data.scaling 'z'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(x, changed, said):
    dataset = data.from_arrays("mine", {"x": x})
    with pytest.raises(UserError, match=said):
        fit(dataset, {**SETTINGS, **changed})


@pytest.mark.parametrize("mode", ["threshold", "static", "dynamic"])
def test_real_values_are_not_binarised(mode):
    with pytest.raises(UserError, match="it needs whole numbers or floats in"):
        data.from_arrays("mine", {"x": TABLE}, binarization=mode)


def test_infinite_values_are_named_by_row_and_column():
    table = TABLE.copy()
    table[[7, 9], 1] = np.inf
    table[8, 2] = -np.inf
    with pytest.raises(UserError, match=r"3 infinite values, the first in row 7, column 1; in 2 columns"):
        data.from_arrays("mine", {"x": table})


def test_negative_whole_numbers_become_floats_in_every_split():
    whole = RNG.integers(0, 9, (40, 3))
    made = data.from_arrays("mine", {"x_train": whole, "x_test": whole - 4})
    assert {split.x.dtype for split in (made.train, made.validation, made.test)} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(made.test.x, whole - 4)


def test_dark_pixels_are_noticed():
    """Grey values 0 to 16 in 8 bits are nearly black, which nobody wants by chance; counts and ages are not pixels."""
    x, settings = np.arange(100 * 9).reshape(100, 3, 3), SETTINGS

    def notes(x, **changes):
        return describe(data.from_arrays("it", {"x": x}), {**settings, **changes})[1]

    found = {top: notes((x % (top + 1)).astype(np.uint8)) for top in (1, 16, 127, 128, 255)}
    assert [top for top, each in found.items() if each] == [16, 127]
    assert "no value is above 16. If that is white, give x / 16, floats." in found[16][0]
    assert notes((x % 17).astype(np.uint8), pixel_range=()) == ()
    assert describe(data.load("digits"), settings)[1] == ()
    late = np.zeros((5000, 3, 3), np.uint8)
    late[-1] = 200
    assert notes(late) == ()
