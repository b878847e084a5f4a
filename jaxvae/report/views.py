"""Render examples as pictures, lines of text or music."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxvae.data.midi import write_midi
from jaxvae.data.own_units import shown
from jaxvae.data.spec import DataSpec
from jaxvae.data.vocabulary import Vocabulary
from jaxvae.report import figures, style
from jaxvae.report.figures import NO_LABELS
from jaxvae.tools.base import Labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROLL_WIDTH = 240  # frames side by side, at most
BORDER = 0.7  # grey of a roll's border
SILENT = 0.93  # grey of a roll after the end of its piece
MOST_ROWS = 256  # of a picture; .npz and MIDI files hold all
MARGIN = 2  # keys above and below those that sound


def save(
    path: Path,
    config: Mapping[str, Any],
    spec: DataSpec,
    rows: np.ndarray,
    title: str,
    columns: int = 0,
    labels: Labels = NO_LABELS,
) -> list[Path]:
    """Save `viewed` examples `[rows, columns, *shape]` to `path` with a suffix; return the files, none without a view.

    Images become one sheet, see `sheet`, as PNG and as `figures.format`. Text becomes a `.txt` with the columns of a
    row below one another. Music becomes a sheet of piano rolls, and a MIDI file for each example in the folder `path`,
    ROW-COLUMN.mid.
    """
    if spec.sequence == "text":
        path = path.with_suffix(".txt")
        path.write_text(as_text(config, spec, rows, title, labels), encoding="utf-8")
        return [path]
    title += f" (the first {MOST_ROWS} of {len(rows):,})" if len(rows) > MOST_ROWS else ""
    made = figure(spec, rows[:MOST_ROWS], title, columns, labels._replace(rows=labels.rows[:MOST_ROWS]))
    if made is None:
        return []
    written = style.save(made, path, config["figures"]["format"], figures.SHEET_DPI)
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


def figure(
    spec: DataSpec, rows: np.ndarray, title: str, columns: int = 0, labels: Labels = NO_LABELS
) -> "Figure | None":
    """Draw `sheet` as a figure with labels; None where there is no picture.

    Columns that do not fit beside one another, of music, have no labels.
    """
    picture = sheet(spec, rows, columns)
    if picture is None:
        return None
    fits = not columns or columns == _columns(spec, rows, columns)
    return figures.sheet(picture, title, labels if fits else Labels(labels.rows))


def as_text(config: Mapping[str, Any], spec: DataSpec, rows: np.ndarray, title: str, labels: Labels = NO_LABELS) -> str:
    """Decode tokens `[rows, columns, T]` to text under a title, a line each; rows of several columns become blocks.

    The label of a row is a line of its own, that of a column stands before its lines.
    """
    width = max(map(len, labels.columns), default=0)
    starts = [f"{name:>{width}}  " for name in labels.columns] or [""] * rows.shape[1]
    heads = [f"{' '.join(name.split())}\n" for name in labels.rows] or [""] * len(rows)
    blocks = [
        head + "\n".join(start + line for start, line in zip(starts, sentences(config, spec, row), strict=True))
        for head, row in zip(heads, rows, strict=True)
    ]
    between = "\n" if rows.shape[1] == 1 else "\n\n"
    above = f"{title}; before each line: {labels.axis}" if labels.axis else title
    return f"{above}\n\n{between.join(blocks)}\n"


def sentences(config: Mapping[str, Any], spec: DataSpec, tokens: np.ndarray) -> list[str]:
    """Decode tokens `[N, T]` to sentences."""
    words = Vocabulary(spec.vocabulary, config["data"]["sequence"]["unit"])
    return [words.decode(row) or "(empty)" for row in tokens.tolist()]


def sheet(spec: DataSpec, rows: np.ndarray, columns: int = 0) -> np.ndarray | None:
    """Tile the pictures `[rows, columns, *shape]` into one; None for text, and for arrays that are not images.

    A row holds `columns` pictures. With 0, rows of more than two pictures keep their length, pairs are tiled one above
    the other, and single pictures 8 in a row. Rows of rolls are at most `ROLL_WIDTH` frames wide, and go on below.
    """
    found = pictures(spec, rows.reshape(-1, *rows.shape[2:]))
    if found is None:
        return None
    columns = columns or (rows.shape[1] if rows.shape[1] > 2 else 0)
    beside = _columns(spec, rows, columns)
    if not columns and rows.shape[1] == 2:
        return figures.beside(found[::2], found[1::2], beside)
    if columns and beside < columns:  # each row begins on a new line
        blank = np.full((len(rows), -columns % beside, *found.shape[1:]), 255, found.dtype)
        found = np.concatenate([found.reshape(len(rows), columns, *found.shape[1:]), blank], axis=1)
        found = found.reshape(-1, *found.shape[2:])
    return figures.tile(found, beside)


def _columns(spec: DataSpec, rows: np.ndarray, columns: int) -> int:
    """Return how many pictures stand beside one another."""
    most = columns or (8 if rows.shape[1] == 1 else 16)
    return min(most, max(1, ROLL_WIDTH // (rows.shape[2] + 2))) if spec.sequence else most


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
