"""Render examples as pictures, lines of text or music."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxvae.data.midi import write_midi
from jaxvae.data.spec import DataSpec, shown
from jaxvae.data.vocabulary import Vocabulary
from jaxvae.report import figures, style

ROLL_WIDTH = 240  # frames side by side, at most
BORDER = 0.7  # grey of a roll's border
SILENT = 0.93  # grey of a roll after the end of its piece
MOST_ROWS = 256  # of a picture; .npz and MIDI files hold all
MARGIN = 2  # keys above and below those that sound


def save(
    path: Path, config: Mapping[str, Any], spec: DataSpec, rows: np.ndarray, title: str, columns: int = 0
) -> list[Path]:
    """Save `viewed` examples `[rows, columns, *shape]` to `path` with a suffix; return the files, none without a view.

    Images become one sheet, see `sheet`, as PNG and as `figures.format`. Text becomes a `.txt` with the columns of a
    row below one another. Music becomes a sheet of piano rolls, and a MIDI file for each example in the folder `path`,
    ROW-COLUMN.mid.
    """
    if spec.sequence == "text":
        path = path.with_suffix(".txt")
        path.write_text(as_text(config, spec, rows, title), encoding="utf-8")
        return [path]
    picture = sheet(spec, rows[:MOST_ROWS], columns)
    if picture is None:
        return []
    title += f" (the first {MOST_ROWS} of {len(rows):,})" if len(rows) > MOST_ROWS else ""
    written = style.save(figures.sheet(picture, title), path, config["figures"]["format"], figures.SHEET_DPI)
    if not spec.sequence:
        return written
    path.mkdir(exist_ok=True)
    for old in path.glob("*.mid"):
        if re.fullmatch(r"\d+-\d+", old.stem):
            old.unlink()
    rate = config["data"]["sequence"]["frames_per_beat"]
    for i, j in np.ndindex(rows.shape[:2]):
        write_midi(path / f"{i:02d}-{j:02d}.mid", rows[i, j], frames_per_beat=rate)
    return [*written, path]


def as_text(config: Mapping[str, Any], spec: DataSpec, rows: np.ndarray, title: str) -> str:
    """Decode tokens `[rows, columns, T]` to text under a title, a line each; rows of several columns become blocks."""
    blocks = ["\n".join(sentences(config, spec, row)) for row in rows]
    between = "\n" if rows.shape[1] == 1 else "\n\n"
    return f"{title}\n\n{between.join(blocks)}\n"


def sentences(config: Mapping[str, Any], spec: DataSpec, tokens: np.ndarray) -> list[str]:
    """Decode tokens `[N, T]` to sentences."""
    words = Vocabulary(spec.vocabulary, config["data"]["sequence"]["unit"])
    return [words.decode(row) or "(empty)" for row in tokens.tolist()]


def sheet(spec: DataSpec, rows: np.ndarray, columns: int = 0) -> np.ndarray | None:
    """Tile the pictures `[rows, columns, *shape]` into one; None for text, and for arrays that are not images.

    A row holds `columns` pictures. With 0, pairs are tiled one above the other, and single pictures 8 in a row. Rows of
    piano rolls are at most `ROLL_WIDTH` frames wide.
    """
    found = pictures(spec, rows.reshape(-1, *rows.shape[2:]))
    if found is None:
        return None
    most = 8 if rows.shape[1] == 1 else 16
    if spec.sequence:
        most = min(most, max(1, ROLL_WIDTH // found.shape[2]))
        columns = min(columns, most)
    if not columns and rows.shape[1] == 2:
        return figures.beside(found[::2], found[1::2], most)
    return figures.tile(found, columns or most)


def pictures(spec: DataSpec, x: np.ndarray) -> np.ndarray | None:
    """Convert `viewed` examples `[N, *shape]` to RGB `[N, H, W, 3]`, uint8; None unless they are images or music."""
    if spec.sequence == "music":
        return figures.as_pictures(rolls(x))
    return None if spec.sequence or not figures.are_images(x.shape[1:]) else figures.as_pictures(shown(spec, x))


def rolls(frames: np.ndarray) -> np.ndarray:
    """Draw frames `[N, T, D]` as `[N, keys + 2, T + 2, 1]` in [0, 1], bordered: time to the right, pitch upwards."""
    sounding = np.flatnonzero((frames > 0).any(axis=(0, 1)))
    low, high = (sounding[0], sounding[-1]) if len(sounding) else (0, frames.shape[-1] - 1)
    some = frames[..., max(low - MARGIN, 0) : high + MARGIN + 1]
    shade = np.where(some > 0, 0.1, np.where(some < 0, SILENT, 1.0))
    framed = np.pad(shade, ((0, 0), (1, 1), (1, 1)), constant_values=BORDER)
    return framed.transpose(0, 2, 1)[:, ::-1, :, None]
