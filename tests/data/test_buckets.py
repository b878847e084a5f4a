"""Batches of sequences of like length."""

import numpy as np
import pytest

from jaxvae.common.errors import UserError
from jaxvae.data import Split, make_bucket_feed
from jaxvae.data.buckets import BUCKETS, bucket_batches, bucket_edges, lengths
from jaxvae.data.feed import batch_indices

N, B, T = 309, 16, 40


def tokens(num=N, longest=T, seed=0):
    """Sentences of many lengths; the first token is the number of the row."""
    rng = np.random.default_rng(seed)
    of_rows = 1 + rng.binomial(longest - 1, rng.beta(1, 3, num))
    x = rng.integers(1, 9, (num, longest)).astype(np.int32)
    x[:, 0] = np.arange(num)
    return np.where(np.arange(longest) < of_rows[:, None], x, -1), of_rows


X, LENGTHS = tokens()


def rows_of(item):
    return item["x"][..., 0]


def epoch(feed, number):
    steps = feed.steps_per_epoch
    return np.concatenate([rows_of(feed.items(number * steps + i, 1)).ravel() for i in range(steps)])


def test_lengths_count_what_is_no_padding():
    np.testing.assert_array_equal(lengths(X), LENGTHS)
    frames = np.repeat(np.where(X < 0, -1, X % 2)[..., None], 88, axis=-1)
    np.testing.assert_array_equal(lengths(frames), LENGTHS)
    np.testing.assert_array_equal(lengths(np.zeros((2, 3), np.int32)), [3, 3])  # END is no padding


@pytest.mark.parametrize("num", [N, 304, B])
def test_an_epoch_has_whole_batches_of_different_rows(num):
    feed = make_bucket_feed(Split(X[:num]), B, 3)
    assert feed.steps_per_epoch == num // B
    first, second = epoch(feed, 0), epoch(feed, 1)
    for rows in (first, second):
        assert len(rows) == len(np.unique(rows)) == num // B * B
    if num > B:
        assert np.any(first != second)
        assert np.any(first != epoch(make_bucket_feed(Split(X[:num]), B, 4), 0))
    np.testing.assert_array_equal(first, epoch(make_bucket_feed(Split(X[:num]), B, 3), 0))


def test_no_length_is_left_out_more_often():
    edges = bucket_edges(LENGTHS)
    epochs = 600
    seen = np.zeros(N)
    for number in range(epochs):
        seen[bucket_batches(LENGTHS, edges, B, 0, number)] += 1
    left_out = N % B / N  # of each row
    buckets = np.searchsorted(edges, LENGTHS)
    for bucket in range(len(edges)):
        own = epochs - seen[buckets == bucket]
        error = np.sqrt(left_out * (1 - left_out) / (epochs * len(own)))
        assert abs(own.mean() / epochs - left_out) < 4 * error


def test_a_batch_is_a_function_of_the_step():
    label = np.arange(N, dtype=np.int32) * 7
    feed = make_bucket_feed(Split(X, label), B, 0)
    span = feed.items(5, 40)  # across two ends of an epoch
    for i in (0, 13, 14, 39, 3):  # in any order
        one = feed.items(5 + i, 1)
        length = one["x"].shape[-1]
        np.testing.assert_array_equal(one["x"][0], span["x"][i][:, :length])
        assert np.all(span["x"][i][:, length:] == -1)
        np.testing.assert_array_equal(one["label"][0], span["label"][i])
        np.testing.assert_array_equal(one["x"][0], X[rows_of(one)[0], :length])
        np.testing.assert_array_equal(one["label"][0], 7 * rows_of(one)[0])
        assert LENGTHS[rows_of(one)].max() <= length  # nothing is cut off
    batch = feed.fetch({}, {name: array[0] for name, array in feed.items(0, 1).items()})
    assert (batch["x"].shape[0], batch["label"].shape) == (B, (B,))
    assert feed.resident == {}


def test_batches_are_of_like_length_and_have_few_shapes():
    feed = make_bucket_feed(Split(X), B, 0)
    items = [feed.items(step, 1)["x"][0] for step in range(5 * feed.steps_per_epoch)]
    shapes = {item.shape[1] for item in items}
    assert 3 <= len(shapes) <= BUCKETS
    assert shapes <= set(bucket_edges(LENGTHS).tolist())
    padding = np.mean(np.concatenate([(item < 0).mean(axis=1) for item in items]))
    plain = [LENGTHS[batch_indices(0, N, B, step, 1)[0]] for step in range(5 * feed.steps_per_epoch)]
    cut = np.mean([1 - of_rows.mean() / of_rows.max() for of_rows in plain])  # even cut to the longest of each batch
    assert padding < 0.6 * cut


def test_frames_are_cut_along_time():
    x = np.repeat(np.where(X < 0, -1, 1)[..., None], 3, axis=-1)
    found = make_bucket_feed(Split(x), B, 0).items(0, 2)["x"]
    assert found.shape[:2] == (2, B)
    assert found.shape[2] <= T
    assert found.shape[3] == 3


def test_edges_are_lengths_and_buckets_about_equally_full():
    edges = bucket_edges(LENGTHS)
    assert edges[-1] == LENGTHS.max()
    assert np.all(np.diff(edges) > 0)
    assert set(edges.tolist()) <= set(LENGTHS.tolist())
    spread = bucket_edges(np.arange(1, 601))
    np.testing.assert_allclose(np.diff([0, *spread]), 100, atol=1)
    np.testing.assert_array_equal(bucket_edges(np.array([4, 4, 4])), [4])


@pytest.mark.parametrize("batch_size", [0, -1, N + 1])
def test_batches_that_the_data_cannot_fill_are_refused(batch_size):
    with pytest.raises(UserError, match=f"train.batch_size is {batch_size}, .* take 1 to {N}"):
        make_bucket_feed(Split(X), batch_size, 0)
    assert make_bucket_feed(Split(X), N, 0).items(0, 1)["x"].shape == (1, N, T if T in LENGTHS else LENGTHS.max())


def some_known(num=40):
    """Labels of 3 classes for `num` rows, -1 for the others."""
    label = np.full(N, -1, np.int32)
    label[np.random.default_rng(5).choice(N, num, replace=False)] = np.arange(num) % 3
    return label


def test_batches_of_text_have_their_share_of_labels():
    label = some_known()
    feed = make_bucket_feed(Split(X, label), B, 3, labelled_share=0.25)
    assert feed.steps_per_epoch == N // B
    items = [feed.items(step, 1) for step in range(44)]
    known = np.concatenate([item["label"] for item in items]) >= 0
    assert known[:, :4].all()
    assert not known[:, 4:].any()
    rows = np.concatenate([rows_of(item) for item in items])
    one_pass = (N - 40) // 12
    assert one_pass == 22
    for first in (0, one_pass):  # of both passes over the rows without a label: none twice
        others = rows[first : first + one_pass, 4:].ravel()
        assert len(np.unique(others)) == one_pass * 12
        times = np.bincount(rows[first : first + one_pass, :4].ravel(), minlength=N)[label >= 0]
        assert set(times) <= {2, 3}  # 88 places, 40 rows
    other = make_bucket_feed(Split(X, label), B, 4, labelled_share=0.25).items(0, one_pass)
    for columns in (slice(4), slice(4, None)):  # anew in each pass, and for each seed
        assert not np.array_equal(rows[:one_pass, columns], rows[one_pass:, columns])
        assert not np.array_equal(rows[:one_pass, columns], rows_of(other)[:, columns])
    np.testing.assert_array_equal(rows[20:24], rows_of(feed.items(20, 4)))  # a function of the step
    for item in items:
        assert LENGTHS[rows_of(item)].max() <= item["x"].shape[-1]


@pytest.mark.parametrize(("num", "most"), [(40, 0.1), (120, 0.1)])
def test_a_batch_has_few_labelled_texts_twice(num, most):
    feed = make_bucket_feed(Split(X, some_known(num)), B, 3, labelled_share=0.5)
    rows = np.concatenate([rows_of(feed.items(step, 1)) for step in range(100)])[:, :8]
    distinct = np.array([len(np.unique(batch)) for batch in rows])
    assert (8 - distinct).sum() <= most * rows.size
    assert distinct.min() >= 4


def test_labelled_texts_are_beside_texts_of_like_length():
    label = some_known()
    feed = make_bucket_feed(Split(X, label), B, 3, labelled_share=0.25)
    rows = np.concatenate([rows_of(feed.items(step, 1)) for step in range(22)])
    longest = LENGTHS[rows].max(axis=1)
    without = LENGTHS[rows[:, 4:]].max(axis=1)
    shuffled = np.random.default_rng(0).permutation(rows[:, :4].ravel()).reshape(22, 4)
    by_chance = np.maximum(LENGTHS[shuffled].max(axis=1), without)
    assert longest.sum() - without.sum() < 0.5 * (by_chance.sum() - without.sum())


@pytest.mark.parametrize(
    ("label", "share", "words"),
    [
        (np.zeros(N, np.int32), 0.5, "all of the training examples"),
        (np.full(N, -1, np.int32), 0.5, "none of the training examples"),
        (some_known(), 0.01, "0 of the 16 examples"),
    ],
)
def test_a_share_of_labels_that_text_cannot_have_is_refused(label, share, words):
    with pytest.raises(UserError, match=words):
        make_bucket_feed(Split(X, label), B, 0, labelled_share=share)


def test_few_rows_of_a_kind_are_repeated():
    label = np.full(N, 0, np.int32)
    label[:5] = -1
    feed = make_bucket_feed(Split(X, label), B, 0, labelled_share=0.5)
    rows = rows_of(feed.items(0, 3))
    assert (label[rows] < 0).sum(axis=1).tolist() == [8, 8, 8]
