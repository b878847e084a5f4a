"""A batch is a function of the step, and the same whether it is gathered on the device or on the host."""

import jax
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
    with pytest.raises(UserError, match=f"train.batch_size is {batch}, but there are 29 training examples; take 1 to 29"):
        data.make_feed(make_split(), batch, 0)
