"""`data.missing`: entries hidden completely at random, the same of an example in any split, and kept for study."""

import numpy as np
import pytest

from jaxvae import UserError, data
from jaxvae.data.missing import hide

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(500, 6)).astype(np.float32)
SPLITS = ("train", "validation", "test")


def masks(dataset):
    """The mask of each row of the source."""
    found = np.empty(TABLE.shape, bool)
    for name in SPLITS:
        found[dataset.rows_of(name)] = getattr(dataset, name).mask
    return found


def made(**options):
    return data.from_arrays("a", {"x": TABLE}, **options)


def test_each_entry_is_hidden_with_the_probability_and_kept_aside():
    whole = made()
    hidden = hide(whole, 0.3)
    kept = masks(hidden)
    for axis in (None, 0, 1):
        size = TABLE.size if axis is None else TABLE.shape[axis]
        assert np.all(np.abs(kept.mean(axis=axis) - 0.7) < 4.5 * np.sqrt(0.21 / size))
    assert abs(np.corrcoef(kept.ravel(), TABLE.ravel())[0, 1]) < 4 / np.sqrt(TABLE.size)
    for name in SPLITS:
        split, before = getattr(hidden, name), getattr(whole, name)
        np.testing.assert_array_equal(split.x, np.where(split.mask, before.x, 0))  # no way around the mask
        assert hidden.complete[name] is before
    assert f"data.missing=0.3: {(~kept).sum():,} of 3,000 observed values are hidden" in hidden.notes[-1]


def test_a_mask_belongs_to_the_example_and_the_seed():
    first = masks(hide(made(), 0.5, 1))
    np.testing.assert_array_equal(first, masks(hide(made(validation_fraction=0.3), 0.5, 1)))
    assert np.mean(first != masks(hide(made(), 0.5, 2))) == pytest.approx(0.5, abs=0.05)
    harder = masks(hide(made(), 0.8, 1))
    assert not np.any(harder & ~first)  # hides more, not others
    rows = first[:, None] == first[None]
    assert rows.mean() == pytest.approx(0.5, abs=0.02)


def test_it_hides_once_and_what_is_missing_stays_missing():
    holes = np.where(RNG.uniform(size=TABLE.shape) < 0.5, TABLE, np.nan)
    hidden = hide(data.from_arrays("a", {"x": holes}), 0.5)
    assert hide(hidden, 0.5) is hidden
    assert hide(made(), 0.0).complete == {}
    for name in SPLITS:
        assert not np.any(getattr(hidden, name).mask & ~hidden.complete[name].mask)


def test_pixels_are_hidden_as_stored():
    pixels = RNG.integers(1, 256, (300, 6, 5, 3), np.uint8)
    train = hide(data.from_arrays("a", {"x": pixels}), 0.5).train
    assert train.x.dtype == np.uint8
    np.testing.assert_array_equal(train.x > 0, train.mask)


def test_what_cannot_be_hidden_is_refused():
    with pytest.raises(UserError, match="All training values are missing in the column"):
        hide(data.from_arrays("a", {"x": TABLE[:10]}), 0.99)
    tokens = data.prepare("a", {"train": data.Split(np.ones((20, 4), np.int32))}, 3.0, is_sequence=True)
    with pytest.raises(UserError, match=r"data.missing is 0.5, but entries cannot be hidden in text"):
        hide(tokens._replace(sequence="text"), 0.5)
