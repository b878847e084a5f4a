"""Read music as frames of 88 pitches, padded with -1: from an .npz, or from MIDI files."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxvae.common.errors import UserError, printable
from jaxvae.common.places import check_own
from jaxvae.common.sequences import PADDING
from jaxvae.data.midi import LOWEST, PITCHES, UnreadableMidiError, check_rate, read_midi
from jaxvae.data.padding import pad
from jaxvae.data.split import SPLIT_NAMES, Split, with_missing

SUFFIXES = (".mid", ".midi")


class Counts(NamedTuple):
    """Counts of one split.

    Attributes:
      pieces: pieces read; 0 where there were too few, and segments of the training pieces were taken.
      segments: sequences of the split, cut from the pieces.
      frames: frames in the segments.
      notes: sounding pitches in these frames.
      silent: segments left out because they are silent.
      outside: notes left out because they are not keys of a piano.
      short: notes left out because they sound between two frames; more frames per beat would keep them.
      skipped: unreadable files and the reasons, by name.
    """

    pieces: int
    segments: int
    frames: int
    notes: int
    silent: int = 0
    outside: int = 0
    short: int = 0
    skipped: Mapping[str, str] = {}  # never changed

    @property
    def summary(self) -> str:
        """One line for people."""
        names = f" ({', '.join(self.skipped)}; the first: {next(iter(self.skipped.values()))})" if self.skipped else ""
        pieces = f"{self.pieces:,} pieces as" if self.pieces else "out of the train pieces, too few to give whole ones,"
        return (
            f"{pieces} {self.segments:,} sequences of {self.frames / max(self.segments, 1):.1f} "
            f"frames with {self.notes / max(self.frames, 1):.2f} pitches each; left out: {self.silent:,} silent "
            f"sequences, {self.outside:,} notes outside {LOWEST} to {LOWEST + PITCHES - 1}, {self.short:,} between "
            f"frames, {len(self.skipped):,} files{names}"
        )


class Music(NamedTuple):
    """Splits of `[N, T, 88]` int32 with a common T, and their counts."""

    splits: dict[str, Split]
    counts: dict[str, Counts]


def read(path: Path, max_length: int = 0, frames_per_beat: int = 1, validation_fraction: float | None = None) -> Music:
    """Read the pieces of an `.npz`, of a MIDI file, or of all MIDI files in a folder and its subfolders.

    - `.npz`: `train`, `valid` (`validation`, `val`) and `test`, each `[N, T, 88]` of 0 and 1, with `train_len` `[N]`
      and so on; without lengths, frames of -1 or 0 at the end are padding. Concatenated pieces, `[sum of the lengths,
      88]`, are also allowed; without lengths these are one piece. Pickles are refused.
    - A folder: the subfolders `valid` (`validation`, `val`) and `test` are these splits, all other files "train".

    Args:
      path: of the file or folder.
      max_length: longer pieces are cut into segments of this many frames, the last one shorter; 0 leaves them whole.
      frames_per_beat: frames per quarter note, for MIDI files alone, as in `read_midi`.
      validation_fraction: where given, missing splits are taken out of "train", by whole pieces if there are enough.

    Raises:
      UserError: there is nothing, or nothing readable, or arrays of another form.
    """
    if max_length < 0:
        raise UserError(f"The greatest length is {max_length} frames; it must be 1 or more, or 0 for whole pieces.")
    check_rate(frames_per_beat)
    check_own(path, "music")
    if path.is_dir() or path.suffix.lower() in SUFFIXES:
        found, counts = _midi(path, frames_per_beat)
    else:
        found = _npz(path)
        counts = {split: Counts(len(pieces), 0, 0, 0) for split, pieces in found.items()}
    if validation_fraction is not None:
        found = with_missing(found, validation_fraction)
    cut = {split: [s for piece in pieces for s in _segments(piece, max_length)] for split, pieces in found.items()}
    kept = {split: [s for s in segments if s.any()] for split, segments in cut.items()}
    silent = {split: len(cut[split]) - len(segments) for split, segments in kept.items()}
    for split, segments in kept.items():
        if not segments:
            raise UserError(f"The split '{split}' of '{path}' has {len(found[split])} pieces, which are all silent.")
    if validation_fraction is not None:  # with too few pieces, segments are split
        kept = with_missing(kept, validation_fraction)
    for split, segments in kept.items():
        counts[split] = counts.get(split, Counts(0, 0, 0, 0))._replace(
            pieces=len(found.get(split, ())),
            segments=len(segments),
            frames=sum(map(len, segments)),
            notes=sum(int(s.sum()) for s in segments),
            silent=silent.get(split, 0),
        )
    longest = max(len(s) for segments in kept.values() for s in segments)
    return Music({split: Split(pad(segments, longest)) for split, segments in kept.items()}, counts)


def _segments(piece: np.ndarray, max_length: int) -> list[np.ndarray]:
    step = max_length or max(len(piece), 1)
    return [piece[i : i + step] for i in range(0, max(len(piece), 1), step)]


def _midi(path: Path, frames_per_beat: int) -> tuple[dict[str, list[np.ndarray]], dict[str, Counts]]:
    names = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES] if path.is_dir() else [path]
    found, counts = {}, {}
    for split in SPLIT_NAMES:
        mine = [name for name in names if _split_of(name.relative_to(path)) == split]
        pieces, skipped = [], {}
        for name in mine:
            try:
                pieces.append(read_midi(name, frames_per_beat))
            except UnreadableMidiError as error:
                skipped[printable(name)] = str(error)
        if not pieces and (mine or split == "train"):
            raise UserError(
                f"'{path}' has no readable MIDI file for the split '{split}'; files {', '.join(SUFFIXES)} there: "
                f"{len(mine)}. {' '.join(list(skipped.values())[:3])}".strip()
            )
        if pieces:
            found[split] = [piece.frames for piece in pieces]
            outside, short = sum(p.outside for p in pieces), sum(p.short for p in pieces)
            counts[split] = Counts(len(pieces), 0, 0, 0, 0, outside, short, skipped)
    return found, counts


def _split_of(name: Path) -> str:
    folder = name.parts[0].lower() if len(name.parts) > 1 else ""
    return next((split for split, spellings in SPLIT_NAMES.items() if folder in spellings), "train")


def _npz(path: Path) -> dict[str, list[np.ndarray]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as loaded:
            arrays = {key: loaded[key] for key in loaded.files}
    except Exception as error:  # zip, header and pickle errors are all of different types
        # NumPy's own message would advise allowing pickles.
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise UserError(
            f"'{path}' cannot be read as plain arrays (objects and pickles are refused): {reason}."
        ) from error
    keys = {split: next((s for s in spellings if s in arrays), "") for split, spellings in SPLIT_NAMES.items()}
    if not keys["train"]:
        listed = ", ".join(f"{key} {array.shape}" for key, array in arrays.items()) or "nothing"
        raise UserError(f"'{path}' holds {listed}. Name the arrays 'train', 'valid' and 'test', and 'train_len' ...")
    return {
        split: _pieces(arrays[key], arrays.get(f"{key}_len"), f"'{key}' of '{path}'")
        for split, key in keys.items()
        if key
    }


def _pieces(x: np.ndarray, lengths: np.ndarray | None, where: str) -> list[np.ndarray]:
    if x.ndim not in (2, 3) or x.shape[-1] != PITCHES or x.dtype.kind not in "biuf" or not np.isin(x, (-1, 0, 1)).all():
        raise UserError(
            f"{where} is {x.dtype} {x.shape}; it must be [N, T, {PITCHES}] of 0 and 1, where the first pitch is MIDI "
            f"note {LOWEST}."
        )
    if 0 in x.shape:
        raise UserError(f"{where} is empty: its shape is {x.shape}.")
    x = x.astype(np.int8)
    flat = x.ndim == 2 and lengths is not None  # concatenated pieces
    x = x if x.ndim == 3 or flat else x[None]
    if lengths is None:
        sounds = (x == 1).any(-1)
        lengths = np.where(sounds.any(-1), sounds.shape[1] - sounds[:, ::-1].argmax(-1), 0)
    fits = lengths.ndim == 1 and lengths.dtype.kind in "iu" and (lengths >= 0).all()
    fits = fits and (lengths.sum() == len(x) if flat else len(lengths) == len(x) and (lengths <= x.shape[1]).all())
    if not fits:
        raise UserError(f"The lengths of {where}, {x.shape}, do not fit: {lengths.dtype} {lengths.shape}.")
    pieces = np.split(x, np.cumsum(lengths)[:-1]) if flat else [row[:n] for row, n in zip(x, lengths, strict=True)]
    if any((piece == PADDING).any() for piece in pieces):
        raise UserError(f"{where} has -1 before the end of a piece; -1 is for the padding after it.")
    return pieces
