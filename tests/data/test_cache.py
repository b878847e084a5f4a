"""The decoded copy of a source: verified when it is read, made again where it is damaged."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxvae import UserError, data
from jaxvae.data import cache, folders

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 6, 5, 3), np.uint8)
SOURCE = [{"image": x, "label": i % 7} for i, x in enumerate(IMAGES)]


def rows(dataset):
    return sorted(tuple(np.append(x.ravel(), y)) for s in dataset[1:4] for x, y in zip(s.x, s.label, strict=True))


def load(folder, source=SOURCE):
    return data.from_sources("mine", {"train": source}, folder)


def flip_last_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["train.x.npy", "train.label.npy"])
def test_a_changed_byte_is_noticed_and_decoded_again(tmp_path, capsys, name):
    whole = rows(load(tmp_path / "kept"))
    flip_last_byte(tmp_path / "kept" / name)
    capsys.readouterr()
    assert rows(load(tmp_path / "kept")) == whole
    said = capsys.readouterr().err
    assert f"{name} is damaged" in said
    assert "decoding 40 images" in said
    assert rows(load(tmp_path / "kept", [None] * 3)) == whole  # found, so that nothing is asked
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "content",
    [
        b"3", b"null", b"[]", b'["train"]', b"{}", b"\xff", b'{"factors": 3, "crc32": {}}',
        b'{"factors": [], "crc32": 3}', b'{"factors": [], "crc32": {}}', b'{"factors": [], "crc32": {"..": 0}}',
        b'{"factors": [], "crc32": {"\\u0000": 0}}',
    ],
)  # fmt: skip
def test_a_list_of_files_that_makes_no_sense_is_written_again(tmp_path, capsys, content):
    whole = rows(load(tmp_path / "kept"))
    (tmp_path / "kept" / "splits.json").write_bytes(content)
    assert rows(load(tmp_path / "kept")) == whole
    assert "cannot be used" in capsys.readouterr().err
    assert json.loads((tmp_path / "kept" / "splits.json").read_text())["crc32"].keys() == {
        "train.x.npy", "train.label.npy"
    }  # fmt: skip


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds other files, such as 'letter\.txt'"):
        load(tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "mine"


def test_the_folder_may_be_a_string_or_empty(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "kept").mkdir()
    assert rows(load("~/kept")) == rows(load(str(tmp_path / "kept"), [None]))
    assert capsys.readouterr().err == "decoding 40 images of kept/train, once ...\n"


def test_the_checksum_of_a_large_file_is_of_its_size_and_of_blocks_spread_over_it(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "BLOCK", 4)
    monkeypatch.setattr(cache, "CHECKED_BYTES", 20)
    path = tmp_path / "file"

    def changes(offset):
        content = bytearray(60)
        content[offset] = 1
        path.write_bytes(content)
        return cache.file_checksum(path) != whole

    path.write_bytes(bytes(60))
    whole = cache.file_checksum(path)
    assert [i for i in range(60) if changes(i)] == [i for i in range(60) if i // 4 % 3 == 0]
    path.write_bytes(bytes(61))
    assert cache.file_checksum(path) != whole


def test_images_with_their_channels_first_are_refused(tmp_path):
    for channels in (1, 3):
        path = tmp_path / f"{channels}.npy"
        np.save(path, np.zeros((20, channels, 8, 8), np.uint8))
        with pytest.raises(UserError, match=r"channels first; channels go last.*transpose\(0, 2, 3, 1\)"):
            data.load(path=str(path))
    np.save(path, np.zeros((20, 3, 8, 1), np.uint8))  # a low and wide grey image
    assert data.load(path=str(path)).shape == (3, 8, 1)
    with pytest.raises(UserError, match="channels first"):
        load(tmp_path / "kept", [{"image": x.transpose(2, 0, 1)} for x in IMAGES])


@pytest.mark.parametrize("stream", [False, True])
def test_broken_images_whose_names_are_not_utf8_are_counted(tmp_path, capsys, stream):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(20):
        folders.Image.fromarray(IMAGES[i]).save(folder / f"{i}.png")
    (folder / "b\udcff.png").write_bytes(b"not an image")
    found = data.load(path=str(folder), stream=stream, cache_dir=str(tmp_path / "cache"))
    assert sum(len(split.x) for split in found[1:4]) == 20
    assert "skipped 1 unreadable images" in (said := capsys.readouterr().err)
    assert r"the first: b\udcff.png" in said


def test_a_note_of_shapes_that_makes_no_sense_is_written_again(tmp_path, images):
    options = {"path": str(images), "stream": True, "image_size": 4, "cache_dir": str(tmp_path / "cache")}
    whole = data.load(**options).train.x[:]
    (note,) = Path(tmp_path / "cache" / "data").glob("images-*.json")
    for content in ("3", "[]", "null", json.dumps([[1, 2, "a"]] * 41), json.dumps([[0, 0, 3]] * 41)):
        note.write_text(content)
        np.testing.assert_array_equal(data.load(**options).train.x[:], whole)
        assert note.read_text() != content
