"""The bundled pieces: always the same, by the rules of harmony, and as files."""

import itertools
import zlib

import numpy as np
import pytest
from sequence_tools import pitches

from jaxvae.data import melodies, midi
from jaxvae.data.midi import read_midi, write_midi


@pytest.fixture(scope="module")
def bundled():
    """The bundled pieces without their padding."""
    x = melodies.make_melodies()
    assert (x.shape, x.dtype) == ((600, 32, 88), np.int32)
    assert zlib.crc32(x.astype("<i4").tobytes()) == 3876064805
    return [row[: (row >= 0).all(-1).sum()] for row in x]


def test_the_bundled_pieces_differ_and_have_whole_bars(bundled):
    assert len({piece.tobytes() for piece in bundled}) == 600
    assert {len(piece) for piece in bundled} == {16, 24, 32}
    assert {int(frame.sum()) for piece in bundled for frame in piece} == {4}
    tonics = {min(pitches(piece[-1:])[0]) % 12 for piece in bundled}
    assert tonics == set(range(12))


def test_the_bundled_pieces_keep_the_rules_of_harmony(bundled):
    triads = {
        frozenset((root + step) % 12 for step in (0, third, 7)): (root, third) for root in range(12) for third in (3, 4)
    }
    steps, modes = [], []
    for piece in bundled:
        voices = pitches(piece)
        chords = [triads[frozenset(p % 12 for p in frame)] for frame in voices[::2]]  # a strong beat holds a triad ...
        assert [min(frame) % 12 for frame in voices[::2]] == [root for root, _ in chords]  # ... on its root
        (tonic, mode), dominant = chords[-1], chords[-3]
        assert chords[0] == (tonic, mode)
        assert voices[-4:] == voices[-1:] * 4
        assert (dominant[0] - tonic) % 12 in (5, 7)  # from the dominant, or from the subdominant
        modes.append(mode)
        for before, after in itertools.pairwise(voices):
            assert not melodies.parallel(tuple(before), tuple(after))
            steps.append(abs(after[-1] - before[-1]))
        assert min(np.diff(frame).min() for frame in voices) > 1  # no two voices a semitone apart
    assert sorted(set(modes)) == [3, 4]
    assert modes.count(3) == modes.count(4)
    moved = np.array([step for step in steps if step])
    assert (moved <= 2).mean() > 0.6
    assert moved.max() <= 12


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((48, 55), (50, 57), True),  # fifths
        ((48, 60), (50, 62), True),  # octaves
        ((48, 55), (60, 67), True),
        ((48, 55), (48, 55), False),  # nothing moves
        ((48, 55), (50, 59), False),
        ((48, 52), (50, 53), False),  # thirds
    ],
)
def test_parallels(before, after, expected):
    assert melodies.parallel(before, after) is expected


def test_a_bundled_piece_comes_back_from_a_file(tmp_path, bundled):
    for i, piece in enumerate(bundled[:5]):
        write_midi(tmp_path / f"{i}.mid", piece)
        np.testing.assert_array_equal(read_midi(tmp_path / f"{i}.mid").frames, piece)
    assert midi.LOWEST == 21
