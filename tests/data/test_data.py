"""Where data comes from, how it is split, and what is refused."""

import io
import os
import pickle
import zipfile
from importlib import import_module

import jax
import numpy as np
import pytest
from sklearn.datasets import load_digits

from jaxvae import UserError, data

load = import_module("jaxvae.data.load")  # `data.load` is the function of that name
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 6, 5), np.uint8)
LABELS = np.arange(40) % 3


def save(path, **arrays):
    """`x=...` alone as .npy where the suffix says so, else an .npz of all."""
    np.save(path, arrays["x"]) if path.suffix == ".npy" else np.savez(path, **arrays)
    return str(path)


def everything(dataset):
    """The three splits together, each example with its label, in one order that does not depend on the splits."""
    splits = (dataset.train, dataset.validation, dataset.test)
    rows = [np.append(x.ravel(), y) for s in splits for x, y in zip(s.x, s.label, strict=True)]
    return sorted(map(tuple, rows))


def test_digits_are_the_1797_real_images_cut_into_three_fixed_parts():
    digits, bunch = data.load("digits"), load_digits()
    assert digits.shape == (8, 8, 1)
    assert [len(s.x) for s in digits[1:4]] == [1294, 144, 359]
    assert digits.max_value == 16
    assert (digits.train.x.min(), digits.train.x.max()) == (0, 16)
    assert everything(digits) == sorted(
        tuple(np.append(x.ravel(), y)) for x, y in zip(bunch.images, bunch.target, strict=True)
    )
    jax.tree.map(np.testing.assert_array_equal, data.load("digits")[1:4], digits[1:4])


@pytest.mark.parametrize(("fraction", "sizes"), [(0, [1438, 0, 359]), (0.5, [719, 719, 359])])
def test_the_validation_fraction_leaves_the_test_set_alone(fraction, sizes):
    digits = data.load("digits", validation_fraction=fraction)
    assert [len(s.x) for s in digits[1:4]] == sizes
    np.testing.assert_array_equal(digits.test.x, data.load("digits").test.x)


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize(
    ("x", "shape", "max_value", "kind"),
    [
        (PIXELS, (6, 5, 1), 255, np.uint8),
        (PIXELS.reshape(40, 30), (30,), 255, np.uint8),
        (PIXELS.reshape(40, 2, 5, 3), (2, 5, 3), 255, np.uint8),
        (PIXELS.astype(np.int64), (6, 5, 1), 255, np.uint8),
        (PIXELS > 127, (6, 5, 1), 1, np.uint8),
        (PIXELS // 128, (6, 5, 1), 1, np.uint8),
        (PIXELS / 255, (6, 5, 1), 1, np.float32),
        ((PIXELS / 255).astype(np.float16), (6, 5, 1), 1, np.float32),
        (PIXELS - 100.5, (6, 5, 1), 1, np.float32),
        (PIXELS.astype(np.int64) - 1, (6, 5, 1), 1, np.float32),
    ],
)
def test_files_of_every_plain_type_and_shape(tmp_path, suffix, x, shape, max_value, kind):
    loaded = data.load(path=save(tmp_path / f"a{suffix}", x=x))
    assert (loaded.shape, loaded.max_value, loaded.train.x.dtype) == (shape, max_value, kind)
    assert [len(s.x) for s in loaded[1:4]] == [29, 3, 8]
    together = np.concatenate([s.x for s in loaded[1:4]]).reshape(40, -1).astype(np.float32)
    expected = x.reshape(40, -1).astype(np.float32)
    np.testing.assert_array_equal(together[np.lexsort(together.T)], expected[np.lexsort(expected.T)])


@pytest.mark.parametrize("name", ["x", "X", "images", "image", "data", "whatever"])
@pytest.mark.parametrize("label", ["y", "labels", "label", "targets", "target"])
def test_npz_spellings_of_one_array(tmp_path, name, label):
    loaded = data.load(path=save(tmp_path / "a.npz", **{name: PIXELS, label: LABELS}))
    assert everything(loaded) == sorted(tuple(np.append(x.ravel(), y)) for x, y in zip(PIXELS, LABELS, strict=True))


@pytest.mark.parametrize(
    ("spell", "label"),
    [
        ("{}", "y_{}"),
        ("x_{}", "labels_{}"),
        ("{}_images", "{}_label"),
        ("data_{}", "{}_targets"),
        ("X_{}", "target_{}"),
    ],
)
@pytest.mark.parametrize("validation", ["validation", "valid", "val"])
def test_npz_spellings_of_splits(tmp_path, spell, label, validation):
    cuts = {"train": slice(0, 25), validation: slice(25, 31), "test": slice(31, 40)}
    arrays = {form.format(k): a[cut] for k, cut in cuts.items() for form, a in ((spell, PIXELS), (label, LABELS))}
    loaded = data.load(path=save(tmp_path / "a.npz", **arrays))
    for split, cut in zip(loaded[1:4], cuts.values(), strict=True):
        np.testing.assert_array_equal(split.x[..., 0], PIXELS[cut])
        np.testing.assert_array_equal(split.label, LABELS[cut])


def test_a_given_test_set_is_kept_whatever_the_training_set_is_called(tmp_path):
    loaded = data.load(path=save(tmp_path / "a.npz", x=PIXELS[:30], x_test=PIXELS[30:]))
    np.testing.assert_array_equal(loaded.test.x[..., 0], PIXELS[30:])


def test_the_largest_value_is_looked_for_in_all_splits(tmp_path):
    assert data.load(path=save(tmp_path / "a.npz", x_train=PIXELS // 128, x_test=PIXELS)).max_value == 255


NAN = np.where(PIXELS == 7, np.nan, PIXELS / 255)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": np.where(PIXELS == 7, np.inf, NAN)}, f"holds {np.isnan(NAN).sum()} infinite values, the first in row"),
        ({"x": np.full((40, 3), 1e300)}, "120 infinite values"),
        ({"x": np.full((40, 3), np.nan)}, "All training values are missing in the columns 0, 1, 2: a model"),
        ({"x": PIXELS[:, 0, 0]}, r"shape \(40,\)"),
        ({"x": np.uint8(3)}, r"shape \(\)"),
        ({"x": PIXELS[:, :0]}, r"shape \(40, 0, 5, 1\)"),
        ({"x": PIXELS[..., None, None]}, r"shape \(40, 6, 5, 1, 1\)"),
        ({"x": PIXELS[:0]}, "0 examples are too few"),
        ({"x": PIXELS[:2]}, "2 examples are too few"),
        ({"x": PIXELS.astype(np.int64) << 20}, "type int64"),
        ({"x": np.array([["a", "b"]] * 40)}, "type <U1"),
        ({"x": PIXELS.astype(complex)}, "type complex"),
        ({"x": np.array([[None]] * 40)}, "objects and pickles are refused"),
        ({"x": PIXELS, "y": LABELS[:5]}, "40 examples but 5 labels"),
        ({"x": PIXELS, "y": np.int64(3)}, "label"),
        ({"x": PIXELS, "y": np.eye(3)[LABELS]}, "label"),
        ({"x": PIXELS, "y": np.array([["a"]] * 40 * 2)}, "label"),
        ({"x": PIXELS, "y": np.full(40, np.nan)}, "label"),
        ({"a": PIXELS, "b": PIXELS}, r"holds a \(40, 6, 5\), b \(40, 6, 5\)"),
        ({"x_test": PIXELS}, "x_train"),
        ({"x_train": PIXELS, "x_test": PIXELS[:, :3]}, r"\(3, 5, 1\), but the train examples have \(6, 5, 1\)"),
        ({"x_train": PIXELS, "x_test": PIXELS / 255}, "float32"),
    ],
)
def test_what_is_no_usable_data_is_refused(tmp_path, arrays, said):
    with pytest.raises(UserError, match=said):
        data.load(path=save(tmp_path / "a.npz", **arrays))


class Malice:
    """Unpickling it makes a folder."""

    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("form", ["x.npy", "x.npz", "label.npz", "raw.npy", "raw.npz"])
def test_a_pickle_is_never_executed(tmp_path, form):
    target, path = tmp_path / "executed", tmp_path / form
    objects = np.array([Malice(target)] * 40, object)
    if form.startswith("raw"):
        path.write_bytes(pickle.dumps(Malice(target)))
    else:
        save(path, **({"x": PIXELS, "y": objects} if form == "label.npz" else {"x": objects[:, None]}))
    with pytest.raises(UserError, match="pickles are refused"):
        data.load(path=str(path))
    assert not target.exists()
    loaded = np.load(io.BytesIO(path.read_bytes()), allow_pickle=True)  # then the same bytes do harm
    _ = list(loaded.values()) if hasattr(loaded, "values") else loaded
    assert target.exists()


def content(write, *args):
    file = io.BytesIO()
    write(file, *args)
    return file.getvalue()


def text_member(file):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.txt", "hello")


NPY, NPZ = content(np.save, PIXELS), content(np.savez, PIXELS)
FILES = {
    "cut.npz": NPZ[:200],
    "cut.npy": NPY[:200],
    "empty.npy": b"",
    "text.npz": b"hello",
    "zip.npy": NPZ,
    "array.npz": NPY,
    "members.npz": content(text_member),
    "none.npz": content(np.savez),
    "table.txt": b"1,2",
}


@pytest.mark.parametrize("name", [*FILES, "missing.npy", "folder"])
def test_files_that_are_not_what_they_say(tmp_path, name):
    if name in FILES:
        (tmp_path / name).write_bytes(FILES[name])
    elif name == "folder":
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=name):
        data.load(path=str(tmp_path / name))


@pytest.mark.parametrize(
    "change",
    [
        lambda x, y: (np.where(np.arange(x.size).reshape(x.shape) == 700, x ^ 1, x), y),
        lambda x, y: (x, y[::-1]),
        lambda x, y: (x, None),
        lambda x, y: (x[:-1], y[:-1]),
        lambda x, y: (x.reshape(40, 5, 6), y),
        lambda x, y: (x.astype(np.float32), y),
    ],
    ids=["a bit", "labels", "no labels", "length", "shape", "type"],
)
def test_the_checksum_changes_with_the_data(change):
    before = data.checksum(data.Split(PIXELS, LABELS))
    assert data.checksum(data.Split(PIXELS.copy(), LABELS.copy())) == before
    assert data.checksum(data.Split(*change(PIXELS, LABELS))) != before


class Counted(np.ndarray):
    """Counts the values that are looked at."""

    seen = 0

    def __getitem__(self, item):
        part = super().__getitem__(item)
        Counted.seen += part.size
        return part


@pytest.mark.parametrize(
    ("function", "part"), [(data.checksum, 1 / 4), (lambda s: load._max_value({"train": s}), 1 / 8)]
)
def test_large_data_is_not_read_whole(monkeypatch, function, part):
    x = np.random.default_rng(0).integers(0, 256, (10_000, 100), np.uint8)
    monkeypatch.setattr(load, "CHECKED_BYTES", x.nbytes // 4)
    monkeypatch.setattr(Counted, "seen", 0)
    whole = function(data.Split(x))
    assert function(data.Split(x.view(Counted))) == whole
    assert 0 < Counted.seen <= part * x.size


def test_binary_data_is_binary_to_its_last_value():
    x = np.ones((5000, 4), np.uint8)
    assert load._max_value({"train": data.Split(x)}) == 1
    x[-1, -1] = 2
    assert load._max_value({"train": data.Split(x)}) == 255
