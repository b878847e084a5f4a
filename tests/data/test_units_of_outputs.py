"""Data leaves a run in the range it came in: pixels, counts, floats, real values; and goes in again."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from jaxvae import UserError, data, likelihoods
from jaxvae.data.context import Field
from jaxvae.data.own_units import compared, completed, shown, unbinarized, viewed
from jaxvae.data.quadrants import QUADRANTS, region
from jaxvae.data.spec import describe, preprocess_of
from jaxvae.data.wanted import wanted, with_pixels
from jaxvae.models.facts import Data
from jaxvae.models.sampling import decoded_sample

SETTINGS = {
    "binarization": "none", "pixel_range": (0.0, 1.0), "scaling": "none", "image_size": 0, "label": "",
    "validation_fraction": 0.1,
}  # fmt: skip
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (60, 4, 4, 1), np.uint8)
COUNTS = RNG.poisson(200.0, (60, 5)) * RNG.integers(0, 3, (60, 5))
REAL = RNG.normal([5.0, -500.0], [1.0, 100.0], (60, 2)).astype(np.float32)
CASES = [
    (PIXELS, {}, (0, 255)),
    (PIXELS, {"pixel_range": (-1.0, 1.0)}, (0, 255)),
    (PIXELS, {"pixel_range": ()}, (0, np.inf)),  # counts that fit into bytes
    (PIXELS, {"scaling": "standardize"}, (0, 255)),
    (PIXELS // 128, {}, (0, 1)),
    ((PIXELS / 255).astype(np.float32), {}, (0, 1)),
    ((PIXELS / 255).astype(np.float32), {"pixel_range": (-1.0, 1.0)}, (0, 1)),
    (COUNTS, {"pixel_range": ()}, (0, np.inf)),
    (COUNTS, {"scaling": "standardize"}, (0, np.inf)),
    (COUNTS, {}, (0, COUNTS.max())),  # as pixels
    (REAL, {}, (-np.inf, np.inf)),
    (REAL, {"scaling": "standardize"}, (-np.inf, np.inf)),
    (REAL, {"scaling": "unit"}, (-np.inf, np.inf)),
]


def prepared(x, changed):
    settings = {**SETTINGS, **changed}
    dataset = data.from_arrays("mine", {"x": x}, binarization=settings["binarization"])
    spec = describe(dataset, settings)[0]
    return {"data": settings}, spec, preprocess_of({"data": settings}, spec)


@pytest.mark.parametrize(("x", "changed", "ends"), CASES)
def test_data_comes_out_as_it_went_in(x, changed, ends):
    config, spec, preprocess = prepared(x, changed)
    inside = preprocess(jax.random.key(0), data.as_stored(spec, config["data"], x))
    own = viewed(config, spec, inside)
    assert own.dtype == np.float32
    np.testing.assert_allclose(own, x, rtol=1e-5, atol=1e-4)
    # Far from the data, as a bad model may decode: pixels stay in their range, and no count is negative.
    far = viewed(config, spec, np.stack([np.full(spec.shape, -1e4), np.full(spec.shape, 1e4)]))
    assert (max(far.min(), -1e3), min(far.max(), 1e3)) == (max(ends[0], -1e3), min(ends[1], 1e3))
    # Distances and pictures scale for themselves.
    assert shown(spec, far).min() >= 0
    assert shown(spec, far).max() <= 1
    assert spec.is_real or compared(config, spec, inside).max() == pytest.approx(1)


@pytest.mark.parametrize(("x", "changed", "ends"), CASES)
def test_what_a_model_returns_goes_in_again(x, changed, ends):
    config, spec, preprocess = prepared(x, changed)
    stored = data.as_stored(spec, config["data"], x)
    between = np.asarray(preprocess(jax.random.key(0), stored)).mean(axis=0, keepdims=True)  # such as a decoded mean
    own = viewed(config, spec, between)
    if changed == {"pixel_range": ()}:  # counts are whole: logarithms, say, would look like counts
        with pytest.raises(UserError, match=r"The data holds floats.*Round means of counts first, numpy.rint\(x\)"):
            data.as_stored(spec, config["data"], own)
        own = np.rint(own)
    again = data.as_stored(spec, config["data"], own)
    is_rounded = x.dtype.kind in "iu" and not spec.is_real
    np.testing.assert_allclose(again, np.rint(own) if is_rounded else own, rtol=1e-6)


@pytest.mark.parametrize("mode", ["threshold", "static", "dynamic"])
def test_binarised_pixels_leave_in_the_range_of_the_grey_ones(mode):
    config, spec, preprocess = prepared(PIXELS, {"binarization": mode})
    stored = data.as_stored(spec, config["data"], PIXELS)
    own = viewed(config, spec, preprocess(jax.random.key(0), stored))
    assert set(np.unique(own)) == {0.0, 255.0}
    again = data.as_stored(spec, config["data"], own)
    np.testing.assert_array_equal(again, own if mode == "dynamic" else stored)  # binary images stay as they are
    # Observed values of an imputation are those of the image.
    seen = np.broadcast_to(np.arange(4)[:, None, None] < 2, PIXELS.shape)
    filled = completed(config, spec, PIXELS, seen, np.full(PIXELS.shape, 0.5))
    np.testing.assert_array_equal(filled[:, :2], PIXELS[:, :2])
    np.testing.assert_allclose(filled[:, 2:], 127.5)
    np.testing.assert_array_equal(unbinarized(config, spec, stored), PIXELS if mode == "dynamic" else own)


@pytest.mark.parametrize("mode", ["none", "threshold"])
def test_pixels_of_a_context_are_written_in_their_own_range(mode):
    config, spec, _ = prepared(PIXELS, {"binarization": mode})
    name = next(iter(QUADRANTS))
    spec = spec._replace(context=(Field(name, "pixels", 4),), context_dim=4)
    made = with_pixels(spec, np.full((3, 4, 4, 1), 7.0), wanted(spec, config["data"], PIXELS[:3]))
    place = (slice(None), *region(name, (4, 4)))
    seen = PIXELS[:3] if mode == "none" else 255.0 * (PIXELS[:3] >= 128)
    np.testing.assert_allclose(made[place], seen[place], rtol=1e-6)
    assert (made == 7.0).sum() >= 3 * 12  # the other quadrants are the model's


def test_a_blank_image_and_few_counts_are_no_mistake():
    config, spec, _ = prepared(PIXELS, {})
    np.testing.assert_array_equal(data.as_stored(spec, config["data"], np.zeros((1, 4, 4))), 0)
    with pytest.raises(UserError, match="floats from 0 to 1"):
        data.as_stored(spec, config["data"], PIXELS / 255)
    config, spec, _ = prepared(COUNTS, {"pixel_range": ()})
    np.testing.assert_array_equal(data.as_stored(spec, config["data"], np.ones((1, 5))), 1)
    few = prepared(PIXELS, {"pixel_range": ()})[1]
    for each, shape in ((spec, (1, 5)), (few, (1, 4, 4))):
        np.testing.assert_array_equal(data.as_stored(each, config["data"], np.full(shape, 9e3)), 9000)


@pytest.mark.parametrize(
    "likelihood", [likelihoods.poisson(), likelihoods.negative_binomial((5,)), likelihoods.bernoulli()]
)
def test_samples_of_counts_are_counts_and_those_of_pixels_means(likelihood):
    model = SimpleNamespace(data=Data((5,)), likelihood=likelihood)
    outputs = jax.numpy.linspace(-1.0, 2.0, 10).reshape(2, 5)
    made = likelihood.build(likelihood.init(jax.random.key(0)), outputs)
    drawn = np.asarray(decoded_sample(model, jax.random.key(1), made))
    assert np.array_equal(drawn, np.rint(drawn)) == likelihood.is_of_counts
    assert np.array_equal(drawn, made.mean) != likelihood.is_of_counts
