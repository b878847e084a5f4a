"""Convert MIDI files to frames of 88 pitches, and back."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxvae.common.errors import UserError
from jaxvae.common.optional import require

LOWEST, PITCHES = 21, 88  # the keys of a piano: MIDI notes 21 (A0) to 108 (C8)
DRUMS = 9  # named channel 10
MAX_FRAMES = 2**17  # longer than any piece: such a file is damaged
TICKS = 480  # per beat, or near it, in the files written


class UnreadableMidiError(UserError):
    """The file is damaged, or holds no music in beats."""


class Piece(NamedTuple):
    """Contents of a MIDI file.

    Attributes:
      frames: `[T, 88]` uint8, 1 where the pitch 21 + i sounds; the last frame is not silent.
      outside: number of notes left out because they are not keys of a piano.
      short: number of notes left out because they sound in no frame, only between two.
    """

    frames: np.ndarray
    outside: int
    short: int


def read_midi(path: Path, frames_per_beat: int = 1) -> Piece:
    """Read and merge the notes of all tracks and channels except drums (channel 10).

    Frame t holds the notes that sound when a quarter of it is over, so that notes that begin slightly late or end early
    still count. A note lasts until it is released; pedal, tempo and loudness are ignored. A repeated note and a held
    one are the same in frames. Silence after the last note is dropped.

    Args:
      path: the file.
      frames_per_beat: frames per quarter note.

    Raises:
      UnreadableMidiError: the file is damaged, or has no beats or no notes.
      UserError: `frames_per_beat` is out of range.
    """
    check_rate(frames_per_beat)
    mido = require("mido")
    try:
        file = mido.MidiFile(path)
        notes = [note for track in file.tracks for note in _notes(track)]
    except Exception as error:  # mido raises many built-in types
        reason = "it ends too early" if isinstance(error, EOFError) else str(error) or type(error).__name__
        raise UnreadableMidiError(f"'{path}' cannot be read as MIDI: {reason}.") from error
    ticks = file.ticks_per_beat
    if ticks <= 0 or file.type not in (0, 1):
        raise UnreadableMidiError(f"'{path}' is timed in seconds or made of patterns, not of notes in beats.")
    # ceil(tick * frames_per_beat / ticks - 1/4): the first frame taken at or after the tick.
    spans = [
        (pitch, *(-((ticks - 4 * tick * frames_per_beat) // (4 * ticks)) for tick in span)) for pitch, *span in notes
    ]
    inside = [(pitch - LOWEST, first, end) for pitch, first, end in spans if 0 <= pitch - LOWEST < PITCHES]
    heard = [span for span in inside if span[1] < span[2]]
    length = max((end for *_, end in heard), default=0)
    if not length:
        raise UnreadableMidiError(f"'{path}' has no note, among the 88 keys of a piano, that a frame could hold.")
    if length > MAX_FRAMES:
        raise UnreadableMidiError(f"'{path}' would have {length:,} frames: it must be damaged.")
    frames = np.zeros((length, PITCHES), np.uint8)
    for pitch, first, end in heard:
        frames[first:end, pitch] = 1
    return Piece(frames, len(spans) - len(inside), len(inside) - len(heard))


def check_rate(frames_per_beat: int) -> None:
    """Raise UserError where the number of frames per beat is out of range."""
    if not 1 <= frames_per_beat <= TICKS:
        raise UserError(f"There are {frames_per_beat} frames per beat; there must be 1 to {TICKS}.")


def _notes(track: Any) -> list[tuple[int, int, int]]:
    """List (pitch, first tick, tick of the release) of each note of a `mido.MidiTrack`.

    A note that is never released lasts to the end.
    """
    notes, sounding, now = [], {}, 0
    for message in track:
        now += message.time
        if message.type not in ("note_on", "note_off") or message.channel == DRUMS:
            continue
        key = message.channel, message.note
        if message.type == "note_on" and message.velocity:
            sounding.setdefault(key, now)
        elif key in sounding:
            notes.append((message.note, sounding.pop(key), now))
    return notes + [(pitch, first, now) for (_, pitch), first in sounding.items()]


def write_midi(path: Path, frames: np.ndarray, beats_per_minute: float = 90.0, frames_per_beat: int = 1) -> None:
    """Write frames as piano music: a pitch that stays on is one long note.

    Args:
      path: the file, which is replaced.
      frames: `[T, 88]`, 1 where the pitch 21 + i sounds, 0 elsewhere; a frame of -1 ends the piece.
      beats_per_minute: quarter notes per minute, 4 to 1000.
      frames_per_beat: frames per quarter note, 1 to 480.

    Raises:
      UserError: the frames have another form, a number is out of range, or the file cannot be written.
    """
    frames = np.asarray(frames)
    if frames.ndim != 2 or frames.shape[1] != PITCHES or not np.isin(frames, (-1, 0, 1)).all():
        raise UserError(f"Frames must be [T, {PITCHES}] of 0, 1 and, after the end, -1; these have {frames.shape}.")
    check_rate(frames_per_beat)
    if not 4 <= beats_per_minute <= 1000:
        raise UserError(f"There are {beats_per_minute} beats per minute; there must be 4 to 1000.")
    ended = (frames == -1).any(axis=1)
    frames = frames[: ended.argmax() if ended.any() else None].astype(np.int8)
    step = TICKS // frames_per_beat
    edges = np.diff(np.pad(frames, ((1, 1), (0, 0))), axis=0)
    mido = require("mido")
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(beats_per_minute))])
    now = 0
    for edge, pitch in np.argwhere(edges).tolist():
        kind = "note_on" if edges[edge, pitch] == 1 else "note_off"
        track.append(mido.Message(kind, note=LOWEST + pitch, velocity=64, time=(edge - now) * step))
        now = edge
    track.append(mido.MetaMessage("end_of_track", time=(len(frames) - now) * step))
    try:
        mido.MidiFile(type=0, ticks_per_beat=step * frames_per_beat, tracks=[track]).save(path)
    except OSError as error:
        raise UserError(f"The music cannot be written to '{path}': {error.strerror}.") from error
