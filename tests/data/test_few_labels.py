"""`data.labels`: few labels of the training data, balanced over the classes; and batches that mix both kinds."""

import numpy as np
import pytest

from jaxvae import UserError, data
from jaxvae.data.context import conditioned
from jaxvae.data.feed import labelled_rows, mixed_indices
from jaxvae.data.few_labels import keep_labels

RNG = np.random.default_rng(0)
Y = RNG.choice([3, 4, 9], size=500, p=[0.6, 0.38, 0.02])


def made(y=Y):
    return data.from_arrays("a", {"x": np.arange(1000, dtype=np.float32).reshape(500, 2) / 1000, "y": y})


def kept(num, seed=0, y=Y):
    return keep_labels(made(y), num, seed).train.label


def test_labels_are_balanced_and_those_of_the_data():
    whole = made()
    hidden = keep_labels(whole, 60)
    label, truth = hidden.train.label, whole.train.label
    known = label >= 0
    assert known.sum() == 60
    np.testing.assert_array_equal(label[known], truth[known])
    rare = int((truth == 9).sum())
    assert rare < 20
    counts = {one: int((label == one).sum()) for one in (3, 4, 9)}
    assert counts[9] == rare  # all there are; the others share the rest
    assert abs(counts[3] - counts[4]) <= 1
    for name in ("validation", "test"):
        np.testing.assert_array_equal(getattr(hidden, name).label, getattr(whole, name).label)
    assert hidden.notes[-1] == "data.labels=60: 60 of 360 training examples keep their label, of 3 classes"


def test_more_labels_include_fewer_and_another_seed_draws_others():
    few, more = kept(9), kept(30)
    assert np.all(more[few >= 0] >= 0)
    np.testing.assert_array_equal(few, kept(9))
    common = np.mean((kept(60, 1) >= 0) & (kept(60) >= 0)) / np.mean(kept(60) >= 0)
    assert common < 0.6  # the rare class is the same in both
    assert sorted(few[few >= 0]) == [3] * 3 + [4] * 3 + [9] * 3


def test_all_labels_stay_by_default():
    whole = made()
    assert keep_labels(whole, 0) is whole


@pytest.mark.parametrize(
    ("num", "y", "words"),
    [
        (2, Y, "fewer than one for each of the 3 classes"),
        (361, Y, "only 360 training examples"),
        (10, np.full(500, 3), "of one class, 3"),
        (10, np.full(500, -1), "no training example of 'a' has a label"),
    ],
)
def test_labels_that_cannot_be_kept_are_refused(num, y, words):
    with pytest.raises(UserError, match=words):
        kept(num, y=y)


def test_data_without_labels_is_refused():
    with pytest.raises(UserError, match="has no labels"):
        keep_labels(data.from_arrays("a", {"x": np.eye(20, dtype=np.float32)}), 5)


def test_the_context_of_an_unknown_label_is_zero():
    dataset, fields = conditioned(keep_labels(made(), 30), "label")
    context, label = dataset.train.context, dataset.train.label
    assert fields[0].values == (3, 4, 9)
    np.testing.assert_array_equal(context[label < 0], 0)
    np.testing.assert_array_equal(context[label == 9], np.tile([0, 0, 1], (int((label == 9).sum()), 1)))


def test_batches_have_their_share_of_labels():
    split = keep_labels(made(), 12).train
    feed = data.make_feed(split, 20, 3, labelled_share=0.3)
    assert feed.steps_per_epoch == 18
    rows = feed.items(0, 60)
    known = split.label[rows] >= 0
    assert known[:, :6].all()
    assert not known[:, 6:].any()
    np.testing.assert_array_equal(rows[17:23], feed.items(17, 6))
    labelled, others = rows[:, :6].ravel(), rows[:, 6:].ravel()
    assert set(labelled[:12].tolist()) == set(np.flatnonzero(split.label >= 0).tolist())  # 12 rows in 2 batches
    assert len(set(others[: 24 * 14].tolist())) == 24 * 14  # none twice in 24 batches
    host = data.make_feed(split, 20, 3, resident_bytes=0, labelled_share=0.3)
    np.testing.assert_array_equal(host.items(5, 2)["x"], split.x[rows[5:7]])
    assert not np.array_equal(rows, data.make_feed(split, 20, 4, labelled_share=0.3).items(0, 60))


def test_rows_with_and_without_a_label_go_round_in_orders_of_their_own():
    indices = mixed_indices(np.repeat([0, -1], 20), 10, 3, 20)
    labelled, others = np.split(indices(0, 2), 2, axis=1)
    assert sorted(labelled.ravel()) == list(range(20))
    assert sorted(others.ravel() - 20) == list(range(20))
    assert np.any(labelled != others - 20)


def test_a_batch_may_hold_more_labelled_rows_than_there_are():
    split = keep_labels(made(), 3).train
    rows = data.make_feed(split, 20, 0, labelled_share=0.5).items(0, 3)
    assert np.all(split.label[rows[:, :10]] >= 0)
    assert {tuple(np.unique(split.label[row[:10]])) for row in rows} == {(3, 4, 9)}


@pytest.mark.parametrize(
    ("label", "share", "words"),
    [
        (None, 0.5, "none of the training examples"),
        (np.zeros(9, int), 0.5, "all of the training examples"),
        (np.array([0, -1]), 0.01, "0 of the 20 examples"),
        (np.array([0, -1]), 0.99, "20 of the 20 examples"),
    ],
)
def test_a_share_that_no_batch_can_have_is_refused(label, share, words):
    with pytest.raises(UserError, match=words):
        labelled_rows(label, share, 20)


def test_examples_without_a_label_do_not_judge():
    """Of the user's own data, unlabelled examples train, and are left out of validation and test."""
    y = np.where(RNG.random(500) < 0.7, -1, Y)
    whole = made(y)
    kept_ones = keep_labels(whole, 0)
    np.testing.assert_array_equal(kept_ones.train.label, whole.train.label)
    for name in ("validation", "test"):
        before, after = getattr(whole, name), getattr(kept_ones, name)
        known = before.label >= 0
        assert 0 < known.sum() < len(known)
        np.testing.assert_array_equal(after.x, before.x[known])
        np.testing.assert_array_equal(kept_ones.rows_of(name), whole.rows_of(name)[known])
        assert f"{(~known).sum()} examples without a label are left out of the {name} set" in kept_ones.notes


def test_two_classes_may_be_called_minus_one_and_one():
    dataset = made(np.where(np.arange(500) % 2, 1, -1))
    assert dataset.class_names == ("-1", "1")
    assert set(dataset.train.label.tolist()) == {0, 1}
    assert keep_labels(dataset, 4).train.label.max() == 1


def test_examples_without_a_label_do_not_judge_where_all_training_examples_have_one():
    whole = made(Y)
    test = whole.test._replace(label=np.where(np.arange(len(whole.test.x)) % 2, -1, whole.test.label))
    found = keep_labels(whole._replace(test=test), 0)
    np.testing.assert_array_equal(found.test.x, test.x[::2])
    unknown = whole.test._replace(label=np.full(len(test.x), -1))
    assert len(keep_labels(whole._replace(test=unknown), 0).test.x) == len(test.x)  # a set without any stays
