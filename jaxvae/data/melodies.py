"""Small pieces for four voices, made by rules of harmony: data for music models without a download."""

import itertools
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from jaxvae.data.midi import LOWEST, PITCHES
from jaxvae.data.padding import pad

SEED = 0
BEATS = 4  # of a bar; a frame is a beat
# A chord for each half of a bar. An opening stops on the dominant, a closing ends on the tonic.
OPENINGS = {
    "major": (
        "I I V V IV IV V V",
        "I I vi vi IV IV V V",
        "I I IV I ii ii V V",
        "I V vi IV I IV V V",
        "I vi IV ii V I V V",
    ),
    "minor": (
        "i i V V iv iv V V",
        "i i VI VI iv iv V V",
        "i i VII VII VI VI V V",
        "i V i iv i iv V V",
        "i VI III iv V i V V",
    ),
}
CLOSINGS = {
    "major": (
        "I I IV IV V V I I",
        "I I vi vi ii V I I",
        "I V vi vi IV V I I",
        "I IV I I IV V I I",
        "I vi ii ii V V I I",
    ),
    "minor": (
        "i i iv iv V V i i",
        "i i VI VI iv V i i",
        "i V i VI iv V i i",
        "i iv VII III iv V i i",
        "i VI iv iv V V i i",
    ),
}
# Semitones from the tonic, the root first.
CHORDS = {
    "I": (0, 4, 7), "ii": (2, 5, 9), "IV": (5, 9, 0), "V": (7, 11, 2), "vi": (9, 0, 4),
    "i": (0, 3, 7), "III": (3, 7, 10), "iv": (5, 8, 0), "VI": (8, 0, 3), "VII": (10, 2, 5),
}  # fmt: skip
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10), "rising": (0, 2, 3, 5, 7, 9, 11)}
SOPRANO, TENOR, BASS = (64, 78), (52, 67), (41, 55)  # the lowest and the highest pitch, in C
LEAPS = (4, 0, 0, 1, 1, 3, 12, 5, 9, 12, 15, 15, 9)  # the cost of the melody's step, by semitones
Picker = Callable[[int], int]
Voices = tuple[int, ...]  # the pitches of bass, tenor, alto and soprano


def make_melodies(count: int = 600) -> np.ndarray:
    """Make different pieces of 4, 6 or 8 bars of four beats: `[count, 32, 88]` int32, padded with -1.

    Half are in major and half in minor, in any of the 12 keys. Every half bar has one triad: its root lies in the bass
    and its three tones in the upper voices, which move little and, if possible, without parallel fifths or octaves. On
    weak beats, passing notes fill the thirds of melody and bass. Pieces end on the tonic.
    """
    raw = np.random.PCG64(SEED).random_raw  # the bits of PCG64 are the same in every NumPy; those of Generator need not
    made: dict[bytes, None] = {}  # a set that keeps the order
    while len(made) < count:
        made[compose("major" if len(made) % 2 else "minor", lambda n: raw() % n).tobytes()] = None
    pieces = [np.frombuffer(piece, np.uint8).reshape(-1, PITCHES) for piece in made]
    return pad(pieces, max(map(len, pieces)))


def compose(mode: str, pick: Picker) -> np.ndarray:
    """Compose one piece: frames `[T, 88]` uint8 of 0 and 1, T 16, 24 or 32; `pick(n)` chooses one of n."""
    key, bars, passing, figure = pick(12) - 5, pick(3), 1 + pick(4), pick(3)
    opening, closing = (some[mode][pick(len(some[mode]))].split() for some in (OPENINGS, CLOSINGS))
    names = opening[: 4 * bars] + closing
    strong = harmonize([CHORDS[name] for name in names], pick)
    frames = np.zeros((2 * len(names), PITCHES), np.uint8)
    for i, (name, voices, after) in enumerate(zip(names, strong, [*strong[1:], strong[-1]], strict=True)):
        scale = SCALES["rising" if (mode, name) == ("minor", "V") else mode]
        fill_bass, fill_melody = i % 2 == 1 and figure > 0, passing > pick(4)
        weak = weak_beat(voices, after, CHORDS[name], scale, fill_bass, fill_melody)
        frames[2 * i, np.array(voices) + key - LOWEST] = 1
        frames[2 * i + 1, np.array(weak) + key - LOWEST] = 1
    return frames


def harmonize(chords: Sequence[tuple[int, ...]], pick: Picker) -> list[Voices]:
    """Choose four voices per chord: one of the two best continuations. A phrase ends on a held chord."""
    first = [v for v in _voicings(chords[0]) if 67 <= v[-1] <= 74]
    chosen = [first[pick(len(first))]]
    for i, chord in enumerate(chords[1:], 1):
        if i % 8 in (3, 7) and chord == chords[i - 1] and (i % 8 == 3 or i == len(chords) - 1):
            chosen.append(chosen[-1])
            continue
        ending = i >= len(chords) - 2
        choices = [(cost, v) for cost, v in _continued(chosen[-1], chord) if not ending or v[-1] % 12 in chord[:2]]
        close = len(choices) > 1 and not ending and choices[1][0] <= choices[0][0] + 4
        chosen.append(choices[pick(2) if close else 0][1])
    return chosen


@cache
def _voicings(chord: tuple[int, ...]) -> list[Voices]:
    """List all voicings with the root in the bass and the three tones above it, neighbours there within an octave."""
    found = []
    for s, a, t in itertools.permutations(chord):
        for soprano in range(SOPRANO[0] + (s - SOPRANO[0]) % 12, SOPRANO[1] + 1, 12):
            alto = soprano - (soprano - a) % 12
            nearest = alto - (alto - t) % 12
            for tenor in (nearest, nearest - 12):
                if TENOR[0] <= tenor <= TENOR[1] and alto - tenor <= 12:
                    low = range(BASS[0] + (chord[0] - BASS[0]) % 12, min(BASS[1] + 1, tenor), 12)
                    found += [(bass, tenor, alto, soprano) for bass in low]
    return found


@cache
def _continued(before: Voices, chord: tuple[int, ...]) -> list[tuple[int, Voices]]:
    """List the voicings of a chord after other voices with their costs, the best first."""
    return sorted((_cost(before, after), after) for after in _voicings(chord))


def _cost(before: Voices, after: Voices) -> int:
    moves = [abs(new - old) for old, new in zip(before, after, strict=True)]
    same = {pitch % 12 for pitch in before} == {pitch % 12 for pitch in after}
    cost = LEAPS[min(moves[-1], 12)] + moves[1] + moves[2] + 2 * max(moves[0] - 4, 0)
    cost += 8 * (same and not moves[-1]) + 9 * (
        same and moves[0] > 0
    )  # within a chord the melody moves, the bass rests
    overlap = any(after[i] > before[i + 1] or after[i + 1] < before[i] for i in range(3))
    falls = not same and before[-1] % 12 == 11 and after[-1] != before[-1] + 1  # the leading tone resolves to the tonic
    return cost + 6 * overlap + 15 * falls + 30 * parallel(before, after)


def parallel(before: Voices, after: Voices) -> bool:
    """Return whether two voices move in parallel fifths or octaves."""
    pairs = itertools.combinations(zip(before, after, strict=True), 2)
    return any(
        (a1 - a0) % 12 == (b1 - b0) % 12 and (a1 - a0) % 12 in (0, 7) and a0 != b0 for (a0, b0), (a1, b1) in pairs
    )


def weak_beat(
    before: Voices, after: Voices, chord: Sequence[int], scale: Sequence[int], fill_bass: bool, fill_melody: bool
) -> Voices:
    """Voices between two strong beats: held, or with passing notes in melody and bass."""
    bass, tenor, alto, soprano = before
    low = between(bass, after[0], chord, scale) if fill_bass else bass
    high = between(soprano, after[-1], chord, scale) if fill_melody else soprano
    for voices in ((low, tenor, alto, high), (bass, tenor, alto, high), (low, tenor, alto, soprano)):
        if voices[0] < tenor and alto + 1 < voices[-1] and not parallel(before, voices) and not parallel(voices, after):
            return voices
    return before


def between(first: int, second: int, chord: Sequence[int], scale: Sequence[int]) -> int:
    """Note between two: of the scale within a third, of the chord within a leap, else `first`."""
    low, high = sorted((first, second))
    allowed = scale if high - low in (3, 4) else chord if high - low > 4 else ()
    inside = [pitch for pitch in range(low + 1, high) if pitch % 12 in allowed]
    return inside[len(inside) // 2] if inside else first
