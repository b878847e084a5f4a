"""How data reaches the step: binarised and scaled, in batches that are a function of the step alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxvae import UserError, data

SIZES = [(24, 8), (29, 8), (16, 16), (40, 1)]  # (examples, batch)


@pytest.mark.parametrize(("num", "batch"), SIZES)
def test_spans_in_any_order_give_the_same_rows(num, batch):
    whole = data.batch_indices(3, num, batch, 0, 4 * (num // batch))
    for step in np.random.default_rng(0).permutation(len(whole)):
        for count in {1, len(whole) - step}:
            np.testing.assert_array_equal(data.batch_indices(3, num, batch, step, count), whole[step : step + count])


@pytest.mark.parametrize(("num", "batch"), SIZES)
def test_every_epoch_is_a_permutation_of_its_own(num, batch):
    per_epoch = num // batch
    epochs = data.batch_indices(0, num, batch, 0, 20 * per_epoch).reshape(20, -1)
    for rows in epochs:
        assert len(set(rows)) == per_epoch * batch
        assert set(rows) <= set(range(num))
    assert len({tuple(rows) for rows in epochs}) == 20
    assert set(epochs.ravel()) == set(range(num))  # what one epoch leaves out comes in another
    assert len({tuple(data.batch_indices(seed, num, batch, 0, per_epoch).ravel()) for seed in range(20)}) == 20


def make_split(num=29, labels=True):
    x = np.random.default_rng(0).integers(0, 256, (num, 4, 3, 1), np.uint8)
    return data.Split(x, np.arange(num, dtype=np.int32) if labels else None)


def batches(feed, step, num_steps):
    """What the compiled steps see, one by one."""
    resident = jax.device_put(feed.resident)
    _, seen = jax.jit(lambda items: jax.lax.scan(lambda _, item: (0, feed.fetch(resident, item)), 0, items))(
        feed.items(step, num_steps)
    )
    return seen


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("span", [(0, 3), (2, 7)])
def test_host_and_device_give_the_same_batches(span, labels):
    split = make_split(labels=labels)
    resident, streamed = data.make_feed(split, 8, 5), data.make_feed(split, 8, 5, resident_bytes=0)
    assert resident.steps_per_epoch == streamed.steps_per_epoch == 3
    assert set(resident.resident) == ({"x", "label"} if labels else {"x"})
    assert streamed.resident == {}
    one, other = batches(resident, *span), batches(streamed, *span)
    jax.tree.map(np.testing.assert_array_equal, one, other)
    rows = data.batch_indices(5, 29, 8, *span)
    np.testing.assert_array_equal(one["x"], split.x[rows])
    assert ("label" in one) == labels
    if labels:
        np.testing.assert_array_equal(one["label"], rows)


def test_data_up_to_the_limit_lives_on_the_device():
    split = make_split()
    assert data.make_feed(split, 8, 0, split.x.nbytes).resident
    assert not data.make_feed(split, 8, 0, split.x.nbytes - 1).resident


def test_a_memory_map_is_streamed(tmp_path):
    np.save(tmp_path / "x.npy", make_split().x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    feed = data.make_feed(data.Split(mapped), 8, 0, resident_bytes=0)
    items = feed.items(1, 2)["x"]
    assert items.shape == (2, 8, 4, 3, 1)
    np.testing.assert_array_equal(items, make_split().x[data.batch_indices(0, 29, 8, 1, 2)])


@pytest.mark.parametrize("batch", [30, 1000, 0, -8])
def test_a_batch_that_the_data_cannot_fill_is_refused(batch):
    with pytest.raises(
        UserError, match=f"train.batch_size is {batch}, but there are 29 training examples; take 1 to 29"
    ):
        data.make_feed(make_split(), batch, 0)


# Binarising and scaling.

GREYS = np.array([0, 51, 102, 127, 128, 204, 255], np.uint8)
MANY = np.tile(GREYS, (20_000, 1))


def assert_bernoulli(drawn, sigmas=4):
    """Nothing but 0 and 1, with the grey values as means, within standard errors."""
    p = GREYS / 255
    assert set(np.unique(drawn)) == {0, 1}
    assert np.all(np.abs(drawn.mean(axis=0) - p) <= sigmas * np.sqrt(p * (1 - p) / len(drawn)))


def test_threshold_is_at_the_middle():
    x, max_value = data.binarize(MANY, 255.0, "threshold")
    np.testing.assert_array_equal(x[0], [0, 0, 0, 0, 1, 1, 1])
    assert max_value == 1


def test_static_binarisation_is_one_draw_for_everybody():
    first, max_value = data.binarize(MANY, 255.0, "static")
    assert max_value == 1
    assert_bernoulli(first)
    np.testing.assert_array_equal(first, data.binarize(MANY, 255.0, "static")[0])
    jax.tree.map(
        np.testing.assert_array_equal,
        data.load("digits", binarization="static"),
        data.load("digits", binarization="static"),
    )


@pytest.mark.parametrize("pixel_range", [(0.0, 1.0), (-1.0, 1.0)])
def test_dynamic_binarisation_draws_anew_with_each_key(pixel_range):
    preprocess = jax.jit(data.make_preprocess(255.0, "dynamic", pixel_range))
    draws = [np.asarray(data.to_unit_range(preprocess(jax.random.key(i), MANY), pixel_range)) for i in (0, 1)]
    for drawn in draws:
        assert_bernoulli(drawn)
    np.testing.assert_array_equal(preprocess(jax.random.key(0), MANY), preprocess(jax.random.key(0), MANY))
    p = GREYS / 255
    differ = 2 * p * (1 - p)
    error = np.sqrt(differ * (1 - differ) / len(MANY))
    assert np.all(np.abs((draws[0] != draws[1]).mean(axis=0) - differ) <= 4 * error)


@pytest.mark.parametrize("pixel_range", [(0.0, 1.0), (-1.0, 1.0)])
@pytest.mark.parametrize(("stored", "max_value"), [(GREYS, 255.0), ((GREYS / 255).astype(np.float32), 1.0)])
def test_to_unit_range_inverts_the_scaling(pixel_range, stored, max_value):
    x = data.make_preprocess(max_value, "none", pixel_range)(jax.random.key(0), jnp.asarray(stored))
    assert x.dtype == jnp.float32
    assert (x.min(), x.max()) == pixel_range
    np.testing.assert_allclose(data.to_unit_range(x, pixel_range), GREYS / 255, atol=1e-6)


@pytest.mark.parametrize("pixel_range", [(0, 2), (1.0, 0.0), (0.0,), (0.0, 1.0, 2.0), (-1, 0)])
def test_other_pixel_ranges_are_refused(pixel_range):
    with pytest.raises(UserError, match=r"\(0.0, 1.0\), \(-1.0, 1.0\), or \(\)"):
        data.make_preprocess(1.0, "none", pixel_range)


def test_values_as_stored_are_just_that_and_binary_ones_0_and_1():
    counts = jnp.asarray([[0, 1, 99_991]], jnp.int32)
    np.testing.assert_array_equal(data.make_preprocess(99_991.0, "none", ())(jax.random.key(0), counts), counts)
    drawn = data.make_preprocess(255.0, "dynamic", ())(jax.random.key(0), jnp.asarray(MANY))
    assert set(np.unique(drawn)) == {0.0, 1.0}
