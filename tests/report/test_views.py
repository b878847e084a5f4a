"""Examples in files: text to read, music to see and to hear, images to see."""

import numpy as np
import pytest
from matplotlib.image import imread

from jaxvae.common.errors import UserError
from jaxvae.data.midi import read_midi
from jaxvae.data.own_units import viewed
from jaxvae.data.spec import DataSpec
from jaxvae.experiment import defaults
from jaxvae.report import figures, views
from jaxvae.tools.base import Labels

WORDS = DataSpec((4,), 5, False, "text", ("<eos>", "<unk>", "the", "cat", "été"))
MUSIC = DataSpec((6, 88), 2, False, "music")


def config(unit="word", rate=1, pixel_range=()):
    made = defaults.get_config("test").to_dict()
    made["data"].update(pixel_range=pixel_range, sequence={"unit": unit, "frames_per_beat": rate})
    return made


def pieces(num):
    """Frames `[num, 6, 88]`, the last of them not silent; the first piece ends after four."""
    frames = (np.random.default_rng(0).random((num, 6, 88)) < 0.1).astype(np.int32)
    frames[:, 3:, 40] = 1
    frames[0, 4:] = -1
    return frames


def test_text_stands_in_blocks_of_lines(tmp_path):
    rows = [[[2, 3, 0, -1], [2, 1, 4, 3]], [[0, -1, -1, -1], [0, 3, 3, 3]], [[-1, -1, -1, -1], [4, -1, 2, 0]]]
    made = views.save(tmp_path / "samples", config(), WORDS, np.array(rows), "a title")
    assert made == [tmp_path / "samples.txt"]
    assert made[0].read_text(encoding="utf-8") == (
        "a title\n\nthe cat\nthe <unk> été cat\n\n(empty)\n(empty)\n\n(empty)\nété\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["samples.txt"]


def test_labels_of_text_stand_before_its_lines():
    rows, labels = (
        np.array([[[2, 3], [3, 2]], [[2, 2], [3, 3]]]),
        Labels(("z[1]\n2.00 nats", "z[0]"), ("-3", "0.5"), "steps"),
    )
    assert views.as_text(config(), WORDS, rows, "t", labels) == (
        "t; before each line: steps\n\nz[1] 2.00 nats\n -3  the cat\n0.5  cat the\n\nz[0]\n -3  the the\n0.5  cat cat\n"
    )


def test_characters_stand_without_spaces():
    letters = WORDS._replace(vocabulary=("<eos>", "<unk>", "a", " ", "b"))
    assert (
        views.as_text(config("character"), letters, np.array([[[2, 3, 4, 4]], [[4, 0, 0, 0]]]), "t") == "t\n\na bb\nb\n"
    )


def test_a_number_without_a_word_is_refused():
    with pytest.raises(UserError, match="5 is not a token"):
        views.as_text(config(), WORDS, np.array([[[5, 0, -1, -1]]]), "t")


@pytest.mark.slow
@pytest.mark.parametrize("rate", [1, 4])
def test_music_comes_back_from_its_files(tmp_path, rate):
    frames = pieces(6)
    made = views.save(tmp_path / "music", config(rate=rate), MUSIC, frames.reshape(3, 2, 6, 88), "a title")
    assert made == [tmp_path / "music.png", tmp_path / "music"]
    names = sorted(path.name for path in made[1].iterdir())
    assert names == [f"{i:02d}-{j:02d}.mid" for i in range(3) for j in range(2)]
    for name, piece in zip(names, frames, strict=True):
        np.testing.assert_array_equal(read_midi(made[1] / name, rate).frames, piece[piece[:, 0] >= 0])
    picture = imread(made[0])
    assert picture.shape[1] == 900  # 3 inches at 300 dots
    assert np.unique(picture[..., :3]).size > 2
    again = views.save(tmp_path / "music", config(rate=rate), MUSIC, frames.reshape(3, 2, 6, 88), "a title")
    assert again == made


def test_a_picture_shows_the_first_of_many_and_old_music_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(views, "MOST_ROWS", 3)
    frames = np.repeat(pieces(1)[None, :, :, :], 120, axis=0)
    picture, folder = views.save(tmp_path / "music", config(), MUSIC, frames, "a title")
    assert len(list(folder.iterdir())) == 120
    (folder / "mine.mid").write_bytes(b"")
    few, _ = views.save(tmp_path / "few", config(), MUSIC, frames[:3], "a title (the first 3 of 120)")
    np.testing.assert_array_equal(imread(picture), imread(few))
    views.save(tmp_path / "music", config(), MUSIC, frames[:2], "a title")
    assert sorted(path.name for path in folder.iterdir()) == ["00-00.mid", "01-00.mid", "mine.mid"]


def test_silence_can_be_shown(tmp_path):
    silent = np.zeros((1, 1, 6, 88), np.int32)
    picture, folder = views.save(tmp_path / "music", config(), MUSIC, silent, "silence")
    assert picture.exists()
    assert (folder / "00-00.mid").exists()
    roll = views.rolls(silent[0])
    assert roll.shape == (1, 88 + 2, 6 + 2, 1)
    assert np.all(roll[:, 1:-1, 1:-1] == 1)


def test_rolls_have_time_to_the_right_and_low_keys_below():
    frames = np.zeros((2, 4, 88), np.int32)
    frames[0, 1, 30] = frames[1, 2, 33] = 1
    frames[1, 3] = -1
    framed = views.rolls(frames)
    roll, keys = framed[:, 1:-1, 1:-1, 0], 33 - 30 + 1 + 2 * views.MARGIN
    assert framed.shape == (2, keys + 2, 4 + 2, 1)
    np.testing.assert_array_equal(np.argwhere(roll[0] < 0.5), [[keys - 1 - views.MARGIN, 1]])
    np.testing.assert_array_equal(np.argwhere(roll[1] < 0.5), [[views.MARGIN, 2]])
    np.testing.assert_array_equal(roll[1, :, 3], views.SILENT)
    assert roll[0, 0, 0] == 1
    at_the_edges = np.zeros((1, 1, 88), np.int32)
    at_the_edges[0, 0, [0, 87]] = 1
    assert views.rolls(at_the_edges).shape == (1, 88 + 2, 1 + 2, 1)


def test_pairs_stand_one_above_the_other():
    frames = np.zeros((3, 2, 6, 88), np.int32)
    frames[:, 0, :, 50] = 1  # the inputs hold one note, the outputs none
    high, wide = 1 + 2 * views.MARGIN + 2 + 1, 6 + 2 + 1  # a roll, its frame and a gap
    pairs = views.sheet(MUSIC, frames)
    assert pairs.shape == (2 * high + 1, 3 * wide + 1, 3)
    dark = pairs[..., 0] < 128
    assert dark[:high].sum() == 3 * 6
    assert not dark[high:].any()
    assert views.sheet(MUSIC, frames, 2).shape == (3 * high + 1, 2 * wide + 1, 3)
    assert views.sheet(MUSIC, frames[:, :1]).shape == (high + 1, 8 * wide + 1, 3)


def test_an_incomplete_row_stands_above_its_own_outputs():
    inputs = np.arange(1, 6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    picture = figures.beside(inputs, inputs + 10, columns=3)
    assert picture[2::3, 2::3, 0].tolist() == [[1, 2, 3], [11, 12, 13], [4, 5, 255], [14, 15, 255]]


def test_text_and_plain_arrays_have_no_picture(tmp_path):
    assert views.sheet(WORDS, np.zeros((1, 1, 4), np.int32)) is None
    assert views.sheet(DataSpec((6,)), np.zeros((1, 1, 6))) is None
    assert views.save(tmp_path / "x", config(), DataSpec((6,)), np.zeros((1, 1, 6)), "t") == []
    assert not list(tmp_path.iterdir())
    images = np.linspace(0, 1, 2 * 64).reshape(2, 1, 8, 8, 1)
    assert views.save(tmp_path / "x", config(), DataSpec((8, 8, 1)), images, "t") == [tmp_path / "x.png"]


def test_what_the_model_sees_is_kept_as_whole_numbers_or_in_the_range_it_came_in():
    written = np.array([[2.0, 1.0000001, 0.0, -1.0]], np.float32)
    found = viewed(config(), WORDS, written)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, [[2, 1, 0, -1]])
    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(1, 8)
    np.testing.assert_allclose(
        viewed(config(pixel_range=(-1.0, 1.0)), DataSpec((8,)), x)[0], np.linspace(0, 255, 8), rtol=1e-6
    )


def test_each_row_of_rolls_begins_on_a_new_line():
    rows = np.zeros((2, 3, 100, 88), np.int32)
    rows[1, 0, :, 40] = 1  # sounds in the first roll of the second row alone
    high, wide = 1 + 2 * views.MARGIN + 2 + 1, 100 + 2 + 1
    dark = views.sheet(MUSIC, rows, 3)[..., 0] < 128
    assert dark.shape == (4 * high + 1, 2 * wide + 1)  # two rolls beside one another, the third below
    assert dark[2 * high : 3 * high, :wide].sum() == dark.sum() == 100
    made = views.figure(MUSIC, rows, "t", 3, Labels(("a", "b"), ("0", "1", "2")))
    assert [len(made.axes[0].get_yticks()), len(made.axes[0].get_xticks())] == [2, 0]


def test_rolls_stand_in_a_row_as_far_as_they_can_be_read():
    rows = np.zeros((1, 7, 100, 88), np.int32)
    assert views.sheet(MUSIC, rows, 7).shape[1] == 2 * (100 + 2 + 1) + 1
    assert views.sheet(MUSIC, rows[:, :, :10], 7).shape[1] == 7 * (10 + 2 + 1) + 1
