"""TFDS data sets: read without network or TensorFlow, decoded once; the real ones where TFDS_DATA_DIR has them."""

import io
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image
from tensorflow_datasets.proto import tf_example_pb2

from jaxvae import UserError, data
from jaxvae.data import cache, decode

ROOT = Path(__file__).parents[2]
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3), np.uint8)
LABELS = np.arange(20) % 7
FEATURE = "tensorflow_datasets.core.features."
CLASS = {"pythonClassName": FEATURE + "class_label_feature.ClassLabel", "classLabel": {"numClasses": "20"}}
SCALAR = {
    "pythonClassName": FEATURE + "tensor_feature.Tensor",
    "tensor": {"shape": {}, "dtype": "float32", "encoding": "none"},
}


def write_tfds(root, version="1.0.0", file_format="array_record", images=IMAGES, image="image", labels=None):
    """A data set `tiny` as `tfds build` leaves it: two JSON files and a shard of serialised examples."""
    folder = root / "tiny" / version
    folder.mkdir(parents=True)
    writer = ArrayRecordWriter(str(folder / f"tiny-train.{file_format}-00000-of-00001"), "group_size:1")
    labels = {"label": LABELS} if labels is None else labels
    for i, pixels in enumerate(images):
        png, example = io.BytesIO(), tf_example_pb2.Example()
        Image.fromarray(pixels.squeeze()).save(png, "PNG")
        example.features.feature[image].bytes_list.value.append(png.getvalue())
        for key, values in labels.items():
            kind = "float_list" if values.dtype == np.float32 else "int64_list"
            getattr(example.features.feature[key], kind).value.append(values[i].item())
        writer.write(example.SerializeToString())
    writer.close()
    sizes = [str(n) if n else "-1" for n in (*images[0].shape[:2], images[0].shape[2])]
    features = {
        image: {
            "pythonClassName": FEATURE + "image_feature.Image",
            "image": {"dtype": "uint8", "shape": {"dimensions": sizes}},
        },
        **{key: SCALAR if values.dtype == np.float32 else CLASS for key, values in labels.items()},
    }
    split = {
        "name": "train",
        "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        "shardLengths": ["20"],
    }
    info = {"name": "tiny", "version": version, "fileFormat": file_format, "splits": [split | {"numBytes": "3000"}]}
    tree = {"pythonClassName": FEATURE + "features_dict.FeaturesDict", "featuresDict": {"features": features}}
    (folder / "features.json").write_text(json.dumps(tree))
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


@pytest.fixture
def load(tmp_path):
    """`(name="tiny", **options)` from the prepared data of this test."""
    return lambda name="tiny", **options: data.load(
        name, **{"data_dir": str(tmp_path), "cache_dir": str(tmp_path / "cache"), **options}
    )


def rows(dataset):
    return sorted(tuple(np.append(x.ravel(), y)) for s in dataset[1:4] for x, y in zip(s.x, s.label, strict=True))


def test_a_data_set_is_read_without_tensorflow_and_decoded_once(tmp_path, load, capsys, monkeypatch):
    write_tfds(tmp_path)
    first = load()
    assert first.shape == (6, 5, 3)
    assert first.max_value == 255
    assert rows(first) == sorted(tuple(np.append(x.ravel(), y)) for x, y in zip(IMAGES, LABELS, strict=True))
    assert capsys.readouterr().err == "decoding 20 images of tiny/train, once ...\n"
    assert "tensorflow" not in sys.modules
    monkeypatch.setattr(cache, "_decode", None)
    assert rows(load()) == rows(first)


@pytest.mark.parametrize(("written", "names"), [("cat\ndog\n", ("cat", "dog")), ("0\n1\n2", ()), (None, ())])
def test_labels_have_the_names_that_the_set_gives_them(tmp_path, load, written, names):
    folder = write_tfds(tmp_path)
    if written is not None:
        (folder / "label.labels.txt").write_text(written)
    assert load().class_names == names


def test_the_newest_version_is_taken_and_changed_files_are_decoded_again(tmp_path, load):
    for version, value in (("1.0.0", 1), ("2.0.0", 2), ("10.0.0", 10)):
        write_tfds(tmp_path, version, images=np.full_like(IMAGES, value))
        assert np.unique(load().train.x) == value
    shard = next((tmp_path / "tiny" / "10.0.0").glob("*.array_record*"))
    shard.write_bytes(next((tmp_path / "tiny" / "2.0.0").glob("*.array_record*")).read_bytes())
    assert np.unique(load().train.x) == 2


def test_unequal_images_are_refused_or_resized(tmp_path, load):
    write_tfds(tmp_path, images=[np.zeros((n, 5, 3), np.uint8) for n in range(10, 30)])
    with pytest.raises(UserError, match=r"unequal sizes\. Set data\.image_size"):
        load()
    assert load(image_size=4).shape == (4, 4, 3)
    assert not list(tmp_path.glob("cache/data/.*"))


def cut(path):
    path.write_bytes(path.read_bytes()[:1000])


DAMAGE = {
    "tfrecord": lambda folder: write_tfds(folder.parents[1], "9.0.0", file_format="tfrecord"),
    "no feature 'image', but .*picture": lambda folder: write_tfds(folder.parents[1], "9.0.0", image="picture"),
    "JSON": lambda folder: (folder / "dataset_info.json").write_text("{"),
    "restore": lambda folder: (folder / "features.json").unlink(),
    "No such file": lambda folder: next(folder.glob("*.array_record*")).unlink(),
    "ArrayRecord": lambda folder: cut(next(folder.glob("*.array_record*"))),
}


@pytest.mark.parametrize(("said", "damage"), DAMAGE.items(), ids=DAMAGE)
def test_prepared_data_that_cannot_be_read(tmp_path, load, damage, said):
    damage(write_tfds(tmp_path))
    with pytest.raises(UserError, match=f"tiny.*{said}") as caught:
        load()
    assert "feature" in said or "tfds build tiny" in str(caught.value)
    assert not list(tmp_path.glob("cache/data/*"))


@pytest.mark.parametrize("damage", [cut, lambda path: path.write_bytes(b""), Path.unlink])
def test_a_damaged_cache_is_decoded_again(tmp_path, load, damage):
    write_tfds(tmp_path)
    whole = rows(load())
    damage(next(tmp_path.glob("cache/data/*/train.x.npy")))
    assert rows(load()) == whole


def test_what_killed_decodings_left_is_removed(tmp_path, load):
    write_tfds(tmp_path)
    folder = tmp_path / "cache" / "data"
    here, ended = f".decoding-{socket.gethostname()}-", subprocess.Popen(["true"])
    ended.wait()
    stale, alive = [f"{here}{ended.pid}-a", ".decoding-old"], [f"{here}{os.getpid()}-b", ".decoding-other-host-1-c"]
    for name in (*stale, *alive):
        (folder / name).mkdir(parents=True)
        (folder / name / "train.x.npy").touch()
    os.utime(folder / ".decoding-old", (0, 0))
    load()
    assert {p.name for p in folder.glob(".decoding-*")} == set(alive)


@pytest.mark.parametrize("place", ["file/sub", "read_only"])
def test_a_cache_that_cannot_be_written_is_said(tmp_path, load, place):
    if place == "read_only" and os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    write_tfds(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "read_only").mkdir(mode=0o500)
    with pytest.raises(UserError, match=f"{place}/data.*data.cache_dir"):
        load(cache_dir=str(tmp_path / place))


@pytest.mark.parametrize("labels", [True, False])
def test_a_source_is_anything_with_length_and_items(tmp_path, labels):
    source = [{"image": x, "label": y} if labels else {"image": x} for x, y in zip(IMAGES, LABELS, strict=True)]
    decode.decode_source(source, tmp_path, "test")
    np.testing.assert_array_equal(np.load(tmp_path / "test.x.npy"), IMAGES)
    assert (tmp_path / "test.label.npy").exists() == labels
    if labels:
        np.testing.assert_array_equal(np.load(tmp_path / "test.label.npy"), LABELS)


def test_sources_become_a_data_set_and_are_read_once(tmp_path):
    source = [{"image": x, "label": y} for x, y in zip(IMAGES, LABELS, strict=True)]
    first = data.from_sources("mine", {"train": source}, tmp_path / "kept")
    again = data.from_sources("mine", {"train": [None] * 3}, tmp_path / "kept")  # found, so that nothing is asked
    assert first.shape == IMAGES.shape[1:]
    assert sum(len(split.x) for split in first[1:4]) == len(IMAGES)
    for one, two in zip(first[1:4], again[1:4], strict=True):
        np.testing.assert_array_equal(one.x, two.x)
        np.testing.assert_array_equal(one.label, two.label)


def test_an_empty_source_is_refused(tmp_path):
    with pytest.raises(UserError, match="'test' holds no images"):
        decode.decode_source([], tmp_path, "test")


@pytest.mark.parametrize("name", ["no_such_set", "a/b", "tine"])
def test_a_name_that_is_nowhere_is_said_with_the_nearest(tmp_path, load, name):
    write_tfds(tmp_path)
    hint = {"tine": r" Did you mean 'tiny'\?", "a/b": " No file or folder 'a/b' exists either"}.get(name, "")
    said = (
        f"no data set '{name}': it is neither bundled nor in '{tmp_path}' .there: tiny; .*TFDS has none .*name.{hint}"
    )
    with pytest.raises(UserError, match=said):
        load(name)


@pytest.mark.parametrize("name", ["cifar10", "emnist/letters"])
def test_what_is_not_prepared_is_said_at_once(tmp_path, load, name):
    write_tfds(tmp_path)
    start = time.perf_counter()
    with pytest.raises(UserError, match=f"'{name}' is not prepared in '{tmp_path}' .there: tiny; .*tfds build {name}"):
        load(name)
    assert time.perf_counter() - start < 20  # milliseconds on a free machine; TFDS itself would try for minutes


def test_the_environment_says_where_data_lies(tmp_path, monkeypatch):
    write_tfds(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert data.load("tiny").shape == (6, 5, 3)
    assert list(tmp_path.glob("home/jaxvae/data/tiny-1.0.0-*"))


# Factors.

SPRITES = (IMAGES[..., :1] > 127).astype(np.uint8)
FACTORS = np.stack([np.arange(20) % 3, np.arange(20), np.arange(20) // 7], 1)
NAMES = ("orientation", "shape", "x_position")
SPRITE_LABELS = {f"label_{name}": FACTORS[:, i] for i, name in enumerate(NAMES)}
VALUES = {name: np.linspace(0, 1, 20, dtype=np.float32) for name in ("value_shape", "label_weight")}


def factor_rows(dataset):
    """Each example with its factors, in one order that does not depend on the splits."""
    splits = dataset[1:4]
    return sorted(tuple(np.append(x.ravel(), f)) for s in splits for x, f in zip(s.x, s.factors, strict=True))


@pytest.mark.parametrize("label", [True, False])
def test_the_label_classes_of_a_set_like_dsprites_are_its_factors(tmp_path, load, monkeypatch, label):
    write_tfds(tmp_path, images=SPRITES, labels=SPRITE_LABELS | VALUES | ({"label": LABELS} if label else {}))
    first = load()
    assert (first.shape, first.max_value, first.levels) == ((6, 5, 1), 1, 2)
    assert first.factor_names == NAMES
    assert [s.factors.dtype for s in first[1:4]] == [np.int32] * 3
    assert [s.label is not None for s in first[1:4]] == [label] * 3
    assert set(first.train.arrays) == ({"x", "label"} if label else {"x"})
    monkeypatch.setattr(cache, "_decode", None)
    expected = sorted(tuple(np.append(x.ravel(), f)) for x, f in zip(SPRITES, FACTORS, strict=True))
    assert factor_rows(first) == factor_rows(load()) == expected


@pytest.mark.parametrize("damage", [cut, Path.unlink])
def test_damaged_factors_are_decoded_again(tmp_path, load, damage):
    write_tfds(tmp_path, images=SPRITES, labels=SPRITE_LABELS)
    whole = factor_rows(load())
    damage(next(tmp_path.glob("cache/data/*/train.factors.npy")))
    assert factor_rows(load()) == whole


def test_the_factors_of_a_source_are_named_and_other_ones_are_read_anew(tmp_path):
    names = ("a", "x", "label")  # any names, those of the files of the cache too
    source = [{"image": x, **dict(zip(names, f, strict=True))} for x, f in zip(SPRITES, FACTORS, strict=True)]
    first = data.from_sources("mine", {"train": source}, tmp_path / "kept", factor_names=names)
    again = data.from_sources("mine", {"train": [None]}, tmp_path / "kept", factor_names=names)
    other = data.from_sources("mine", {"train": source}, tmp_path / "kept", factor_names=("x",))
    assert first.factor_names == again.factor_names == names
    assert other.factor_names == ("x",)
    assert factor_rows(first) == factor_rows(again)
    for one, two in zip(first[1:4], other[1:4], strict=True):
        np.testing.assert_array_equal(one.factors[:, [1]], two.factors)
        np.testing.assert_array_equal(one.label, one.factors[:, 2])


@pytest.mark.parametrize("value", [0.5, "a", [1, 2], 2**31, None])
def test_an_item_without_a_whole_number_for_each_factor_is_refused(tmp_path, value):
    source = [{"image": x, "a": 1} for x in IMAGES[:-1]] + [{"image": IMAGES[-1]} | ({"a": value} if value else {})]
    with pytest.raises(UserError, match="factors of split 'train' are a; every item must hold a whole number"):
        data.from_sources("mine", {"train": source}, tmp_path / "kept", factor_names=("a",))
    assert not list(tmp_path.iterdir())


# The real data sets.


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """`name -> (Dataset, cache_dir)`, decoded once for all tests."""
    cache, known = str(tmp_path_factory.mktemp("cache")), {}

    def get(name):
        if not list(Path(os.environ.get("TFDS_DATA_DIR") or os.devnull).glob(f"{name}/*/dataset_info.json")):
            pytest.skip(f"TFDS_DATA_DIR names no folder with {name} in it")
        if name not in known:
            known[name] = data.load(name, cache_dir=cache)
        return known[name], cache

    return get


@pytest.mark.slow
def test_mnist(real):
    mnist, _ = real("mnist")
    assert (mnist.shape, mnist.max_value, mnist.train.x.dtype) == ((28, 28, 1), 255, np.uint8)
    assert [len(s.x) for s in mnist[1:4]] == [54_000, 6_000, 10_000]
    assert [np.unique(s.label).tolist() for s in mnist[1:4]] == [list(range(10))] * 3
    assert np.bincount(mnist.test.label).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.mean(mnist.train.x) / 255 == pytest.approx(0.1307, abs=0.001)


@pytest.mark.slow
def test_binarized_mnist_has_its_own_validation_set(real):
    binarized, _ = real("binarized_mnist")
    assert (binarized.shape, binarized.max_value) == ((28, 28, 1), 1)
    assert [len(s.x) for s in binarized[1:4]] == [50_000, 10_000, 10_000]
    assert [np.unique(s.x).tolist() for s in binarized[1:4]] == [[0, 1]] * 3
    assert binarized.train.label is None


@pytest.mark.slow
def test_the_second_load_of_mnist_is_quick(real):
    _, cache = real("mnist")
    code = (
        "import sys, time, jaxvae, jaxvae.data as data; t = time.perf_counter();"
        f"x = data.load('mnist', cache_dir={cache!r}).train.x; x[-1].sum(); print(time.perf_counter() - t);"
        "print([m for m in ('tensorflow', 'tensorflow_datasets') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    seconds, imported = done.stdout.split("\n")[:2]
    assert float(seconds) < 10  # 0.2 s on a free machine; decoding takes half a minute
    assert imported == "[]"
    assert done.stderr == ""
