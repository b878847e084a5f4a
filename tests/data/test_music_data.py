"""Music: arrays and MIDI files as frames, back again, what is left out and counted."""

import io
import pickle

import mido
import numpy as np
import pytest
from sequence_tools import pitches

from jaxvae import UserError
from jaxvae.data import music
from jaxvae.data.midi import UnreadableMidiError, read_midi, write_midi

LENGTHS = np.array([7, 12, 1])


def random_frames(length, density=0.1, seed=0):
    """Frames whose last one is not silent."""
    frames = (np.random.default_rng(seed).random((length, 88)) < density).astype(np.int32)
    frames[-1, 40] = 1
    return frames


PIECES = [random_frames(n, seed=n) for n in LENGTHS]
PADDED = np.stack([np.pad(p, ((0, 12 - len(p)), (0, 0))) for p in PIECES]).astype(np.uint8)  # zeros, as JSB's are
EXPECTED = np.stack([np.pad(p, ((0, 12 - len(p)), (0, 0)), constant_values=-1) for p in PIECES])


def save(path, *tracks, ticks=480, kind=1):
    """A MIDI file of tracks of (kind, pitch, velocity, ticks since the last one, channel from 0)."""
    made = [
        mido.MidiTrack(
            mido.Message(name, note=note, velocity=v, time=time, channel=c) for name, note, v, time, c in track
        )
        for track in tracks
    ]
    mido.MidiFile(type=kind, ticks_per_beat=ticks, tracks=made).save(path)
    return path


def note(pitch, start, length, channel=0):
    return [("note_on", pitch, 64, start, channel), ("note_off", pitch, 0, length, channel)]


@pytest.mark.parametrize("frames_per_beat", [1, 2, 4, 7, 24, 480])
def test_frames_come_back_from_the_file_written(tmp_path, frames_per_beat):
    frames = random_frames(50)
    write_midi(tmp_path / "a.mid", frames, frames_per_beat=frames_per_beat)
    piece = read_midi(tmp_path / "a.mid", frames_per_beat)
    np.testing.assert_array_equal(piece.frames, frames)
    assert (piece.frames.dtype, piece.outside, piece.short) == (np.uint8, 0, 0)
    again = music.read(tmp_path / "a.mid", frames_per_beat=frames_per_beat)
    np.testing.assert_array_equal(again.splits["train"].x, frames[None])


def test_a_file_lasts_as_long_as_its_frames_and_ties_what_is_held(tmp_path):
    frames = np.full((12, 88), -1)
    frames[:8] = 0
    frames[1:4, 39] = frames[4:6, 43] = frames[5:7, 39] = 1
    write_midi(tmp_path / "a.mid", frames, beats_per_minute=60)
    file = mido.MidiFile(tmp_path / "a.mid")
    assert file.length == pytest.approx(8)  # one frame a second, the silent last one too
    assert [m.note for m in file if m.type == "note_on"] == [60, 64, 60]
    np.testing.assert_array_equal(read_midi(tmp_path / "a.mid").frames, frames[:7])
    write_midi(tmp_path / "b.mid", frames, beats_per_minute=120, frames_per_beat=4)
    assert mido.MidiFile(tmp_path / "b.mid").length == pytest.approx(1)


@pytest.mark.parametrize("frames", [np.zeros((3, 88)), np.zeros((0, 88)), np.full((3, 88), -1)])
def test_silence_can_be_written(tmp_path, frames):
    write_midi(tmp_path / "a.mid", frames)
    assert not any(m.type == "note_on" for m in mido.MidiFile(tmp_path / "a.mid"))
    with pytest.raises(UnreadableMidiError, match="has no note"):
        read_midi(tmp_path / "a.mid")


def test_tracks_and_channels_are_merged_but_not_the_drums(tmp_path):
    path = save(
        tmp_path / "a.mid",
        note(60, 0, 480) + note(62, 480, 960),
        note(64, 0, 1440, channel=3) + note(40, 0, 480, channel=9),
        [*note(48, 480, 0, channel=10), ("note_on", 67, 64, 0, 1), ("note_on", 67, 0, 480, 1)],  # 0 is a release, too
    )
    assert pitches(read_midi(path).frames) == [[60, 64], [64, 67], [62, 64], [62]]
    assert read_midi(path).short == 1  # the one without length
    assert pitches(read_midi(path, 2).frames) == [[60, 64]] * 2 + [[64, 67]] * 2 + [[62, 64]] * 2 + [[62]] * 2


@pytest.mark.parametrize(
    ("track", "expected"),
    [
        (note(60, 100, 300), [[60]]),  # late and short
        (note(60, 450, 480), [[], [60]]),  # early
        ([("note_on", 60, 9, 0, 0), ("note_on", 60, 0, 480, 0), *note(62, 480, 480)], [[60], [], [62]]),
        (note(60, 0, 470) + note(62, 20, 480), [[60], [62]]),
        (note(60, 0, 240) + note(62, 0, 240) + note(64, 0, 480), [[60], [64]]),  # 62 is a passing note of half a beat
        ([("note_on", 60, 9, 0, 0), ("note_on", 60, 9, 480, 0), ("note_off", 60, 9, 480, 0)], [[60], [60]]),
        ([("note_off", 60, 9, 480, 0), *note(62, 0, 480), ("note_off", 62, 9, 480, 0)], [[], [62]]),
        ([("note_on", 60, 9, 0, 0), *note(62, 480, 480)], [[60], [60, 62]]),  # never released
        (note(20, 0, 480) + note(109, 0, 480) + note(21, 0, 480) + note(108, 0, 480), [[], [], [21], [108]]),
    ],
)
def test_what_sounds_in_a_frame(tmp_path, track, expected):
    assert pitches(read_midi(save(tmp_path / "a.mid", track)).frames) == expected


def test_notes_left_out_are_counted(tmp_path):
    save(tmp_path / "a.mid", note(20, 0, 480) + note(60, 0, 480) + note(62, 200, 200) + note(109, 0, 10))
    save(tmp_path / "b.midi", note(127, 0, 480) + note(60, 0, 480))
    counts = music.read(tmp_path).counts["train"]
    assert counts == music.Counts(2, 2, 4, 2, silent=0, outside=3, short=1, skipped={})
    assert "3 notes outside 21 to 108, 1 between frames" in counts.summary


def content(*tracks, **settings):
    file = io.BytesIO()
    mido.MidiFile(tracks=[mido.MidiTrack(track) for track in tracks], **settings).save(file=file)
    return file.getvalue()


GOOD = content([mido.Message("note_on", note=60), mido.Message("note_off", note=60, time=480)])
BROKEN = {
    "empty.mid": (b"", "it ends too early"),
    "text.mid": (b"This is not music at all.", "Probably not a MIDI file"),
    "cut.mid": (GOOD[:-3], "it ends too early"),
    "byte.mid": (GOOD.replace(b"\x90\x3c", b"\x90\xfc"), "data byte must be in range"),
    "seconds.mid": (GOOD[:12] + b"\xe7\x28" + GOOD[14:], "timed in seconds"),
    "zero.mid": (GOOD[:12] + b"\0\0" + GOOD[14:], "timed in seconds"),
    "patterns.mid": (GOOD[:9] + b"\2" + GOOD[10:], "made of patterns"),
    "silent.mid": (content([]), "has no note"),
    "drums.mid": (content([mido.Message("note_on", note=60, channel=9), mido.Message("note_off", channel=9, time=9)]),
                  "has no note"),
    "endless.mid": (content([mido.Message("note_on", note=60), mido.Message("note_off", note=60, time=2**27)]),
                    "must be damaged"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_music_is_named_with_the_reason(tmp_path, name):
    (tmp_path / name).write_bytes(BROKEN[name][0])
    with pytest.raises(UnreadableMidiError, match=f"{name}.*{BROKEN[name][1]}"):
        read_midi(tmp_path / name)
    with pytest.raises(UserError, match=f"no readable MIDI file for the split 'train'.*there: 1.*{BROKEN[name][1]}"):
        music.read(tmp_path)


def test_broken_files_are_skipped_and_counted(tmp_path):
    for name, (data, _) in BROKEN.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "deep/er/good.MID").write_bytes(GOOD)
    found = music.read(tmp_path)
    assert pitches(found.splits["train"].x[0]) == [[60]]
    assert set(found.counts["train"].skipped) == {str(tmp_path / name) for name in BROKEN}
    assert "1 pieces as 1 sequences" in found.counts["train"].summary
    assert "10 files (" in found.counts["train"].summary
    assert all(name in found.counts["train"].summary for name in BROKEN)
    (tmp_path / "test").mkdir()
    (tmp_path / "test/cut.mid").write_bytes(GOOD[:-1])
    with pytest.raises(UserError, match=r"no readable MIDI file for the split 'test'.*there: 1"):
        music.read(tmp_path)


def test_whatever_the_bytes_are_the_file_is_read_or_refused(tmp_path):
    rng, outcomes = np.random.default_rng(0), set()
    write_midi(tmp_path / "a.mid", random_frames(20))
    whole = np.frombuffer((tmp_path / "a.mid").read_bytes(), np.uint8)
    for i in range(400):
        damaged = whole.copy()
        if i % 2:
            damaged = damaged[: rng.integers(len(whole))]
        else:
            damaged[rng.integers(0, len(whole), 3)] ^= rng.integers(1, 256, dtype=np.uint8)
        (tmp_path / "b.mid").write_bytes(damaged.tobytes())
        try:
            outcomes.add(len(read_midi(tmp_path / "b.mid").frames) > 0)
        except UnreadableMidiError:
            outcomes.add("refused")
    assert outcomes == {True, "refused"}


def test_subfolders_are_splits(tmp_path):
    for i, name in enumerate(["train/a/x.mid", "Valid/x.mid", "test/x.mid", "Valses/x.mid", "x.mid"]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        save(tmp_path / name, note(60 + i, 0, 480 * (i + 1)))
    found = music.read(tmp_path)
    sounding = {
        name: sorted({p for row in split.x for f in pitches(row == 1) for p in f})
        for name, split in found.splits.items()
    }
    assert sounding == {"train": [60, 63, 64], "validation": [61], "test": [62]}
    assert {split.x.shape[1:] for split in found.splits.values()} == {(5, 88)}
    assert [found.counts[name].pieces for name in ("train", "validation", "test")] == [3, 1, 1]


FORMS = {
    "lengths": {"train": PADDED, "train_len": LENGTHS},
    "zeros": {"train": PADDED},
    "padding": {"train": EXPECTED},
    "padding and lengths": {"train": EXPECTED.astype(np.int8), "train_len": LENGTHS.astype(np.uint8)},
    "flat": {"train": np.concatenate(PIECES), "train_len": LENGTHS},
    "bool": {"train": PADDED > 0},
    "float": {"train": PADDED.astype(np.float64), "other": np.zeros(3)},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_an_npz(tmp_path, form):
    np.savez(tmp_path / "a.npz", **FORMS[form])
    found = music.read(tmp_path / "a.npz")
    np.testing.assert_array_equal(found.splits["train"].x, EXPECTED)
    assert found.splits["train"].x.dtype == np.int32
    assert found.counts == {"train": music.Counts(3, 3, 20, sum(int(p.sum()) for p in PIECES))}


@pytest.mark.parametrize("validation", ["valid", "validation", "val"])
def test_an_npz_as_the_chorales_have_it(tmp_path, validation):
    long = np.pad(PADDED, ((0, 0), (0, 8), (0, 0)))
    np.savez(
        tmp_path / "a.npz", train=PADDED, train_len=LENGTHS, test=long[:2], test_len=LENGTHS[:2] + 8,
        **{validation: PADDED[1:], f"{validation}_len": LENGTHS[1:]},
    )  # fmt: skip
    found = music.read(tmp_path / "a.npz")
    assert {k: s.x.shape for k, s in found.splits.items()} == {
        "train": (3, 20, 88), "validation": (2, 20, 88), "test": (2, 20, 88)
    }  # fmt: skip
    lengths = {k: (s.x >= 0).all(-1).sum(-1).tolist() for k, s in found.splits.items()}
    assert lengths == {"train": [7, 12, 1], "validation": [12, 1], "test": [15, 20]}  # silence within a length stays


def test_frames_that_are_one_piece(tmp_path):
    np.savez(tmp_path / "a.npz", train=np.pad(PIECES[0], ((0, 3), (0, 0))))
    np.testing.assert_array_equal(music.read(tmp_path / "a.npz").splits["train"].x, PIECES[0][None])


def test_long_pieces_are_cut_and_silent_parts_left_out(tmp_path):
    silent = np.pad(PIECES[1], ((10, 0), (0, 0)))
    np.savez(tmp_path / "a.npz", train=np.concatenate([PIECES[0], silent, PIECES[2]]), train_len=[7, 22, 1])
    found = music.read(tmp_path / "a.npz", max_length=5)
    parts = [PIECES[0][:5], PIECES[0][5:], PIECES[1][:5], PIECES[1][5:10], PIECES[1][10:], PIECES[2]]
    expected = np.stack([np.pad(p, ((0, 5 - len(p)), (0, 0)), constant_values=-1) for p in parts])
    np.testing.assert_array_equal(found.splits["train"].x, expected)
    assert found.counts["train"] == music.Counts(3, 6, 20, int((expected == 1).sum()), silent=2)


def test_segments_are_split_where_pieces_are_too_few(tmp_path):
    """Three pieces of ten segments: one piece to test, none to validate, so that segments of the others do."""
    np.savez(tmp_path / "a.npz", train=np.ones((3, 20, 88), np.uint8))
    found = music.read(tmp_path / "a.npz", max_length=2, validation_fraction=0.1)
    assert {split: (c.pieces, c.segments) for split, c in found.counts.items()} == {
        "train": (2, 18), "test": (1, 10), "validation": (0, 2)
    }  # fmt: skip
    assert {split: len(s.x) for split, s in found.splits.items()} == {"train": 18, "test": 10, "validation": 2}
    assert found.counts["validation"].summary.startswith("out of the train pieces, too few to give whole ones, 2 seq")


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": PADDED}, r"holds x \(3, 12, 88\). Name the arrays 'train'"),
        ({}, "holds nothing"),
        ({"train": PADDED[..., :80]}, r"uint8 \(3, 12, 80\); it must be \[N, T, 88\] of 0 and 1"),
        ({"train": PADDED * 64}, "of 0 and 1, where the first pitch is MIDI note 21"),
        ({"train": np.where(PADDED, np.nan, 0)}, "of 0 and 1"),
        ({"train": PADDED.astype(str)}, "<U"),
        ({"train": PADDED[0, 0]}, r"\(88,\)"),
        ({"train": PADDED, "train_len": LENGTHS[:2]}, r"lengths of 'train' .* do not fit: int64 \(2,\)"),
        ({"train": PADDED, "train_len": LENGTHS + 1}, "do not fit"),
        ({"train": PADDED, "train_len": -LENGTHS}, "do not fit"),
        ({"train": PADDED, "train_len": LENGTHS / 2}, "do not fit: float64"),
        ({"train": PADDED, "train_len": np.array(["a"] * 3)}, "do not fit: <U1"),
        ({"train": PADDED, "train_len": np.int64(3)}, "do not fit"),
        ({"train": np.concatenate(PIECES), "train_len": LENGTHS[:2]}, "do not fit"),
        ({"train": EXPECTED, "train_len": np.full(3, 12)}, "has -1 before the end of a piece"),
        ({"train": np.where(np.arange(88) == 3, -1, EXPECTED)}, "has -1 before the end of a piece"),
        ({"train": PADDED, "test": 0 * PADDED}, "'test' of '.*' has 3 pieces, which are all silent"),
        ({"train": PADDED[:0]}, r"'train' of '.*' is empty: its shape is \(0, 12, 88\)"),
        ({"train": PADDED, "test": PADDED[:, :0]}, r"'test' of '.*' is empty: its shape is \(3, 0, 88\)"),
        ({"train": PADDED[0, :0]}, r"empty: its shape is \(0, 88\)"),
        ({"train": PADDED, "test": np.array([None])}, "objects and pickles are refused"),
    ],
)  # fmt: skip
def test_what_is_no_usable_music_is_refused(tmp_path, arrays, said):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=said):
        music.read(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("name", "data", "settings", "said"),
    [
        ("none.npz", None, {}, "which does not exist. Give an .npz of frames"),
        ("a.wav", b"RIFF", {}, r"which has another suffix. Give an \.npz of frames, a MIDI file \(\.mid, \.midi\)"),
        ("a.npz", b"PK\3\4", {}, "cannot be read as plain arrays"),
        ("a.npz", pickle.dumps([1]), {}, "objects and pickles are refused"),
        ("a.npz", b"\x93NUMPY", {}, "cannot be read as plain arrays"),
        ("a.mid", GOOD, {"max_length": -1}, "greatest length is -1 frames"),
        ("a.mid", GOOD, {"frames_per_beat": 0}, "There are 0 frames per beat; there must be 1 to 480"),
    ],
)
def test_paths_and_settings_that_do_not_fit(tmp_path, name, data, settings, said):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=said):
        music.read(tmp_path / name, **settings)


def test_a_folder_without_music_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no readable MIDI file for the split 'train'.*there: 0"):
        music.read(tmp_path)


@pytest.mark.parametrize(
    ("frames", "settings", "said"),
    [
        (np.zeros((3, 80)), {}, r"of 0, 1 and, after the end, -1; these have \(3, 80\)"),
        (np.zeros(88), {}, "Frames must be"),
        (np.full((3, 88), 0.5), {}, "Frames must be"),
        (np.zeros((3, 88)), {"beats_per_minute": 3}, "There are 3 beats per minute; there must be 4 to 1000"),
        (np.zeros((3, 88)), {"frames_per_beat": 481}, "There are 481 frames per beat"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, frames, settings, said):
    with pytest.raises(UserError, match=said):
        write_midi(tmp_path / "a.mid", frames, **settings)
    with pytest.raises(UserError, match=r"cannot be written to '.*nowhere/a.mid': No such file"):
        write_midi(tmp_path / "nowhere/a.mid", np.zeros((3, 88)))
