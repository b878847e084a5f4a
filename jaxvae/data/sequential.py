"""Data sets of sequences: text and music, bundled or from files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxvae.data import melodies, music, sentences, text
from jaxvae.data.load import prepare
from jaxvae.data.split import Dataset, Split, with_missing
from jaxvae.errors import UserError

KINDS = ("images", "text", "music")
BUNDLED = {"text": "sentences", "music": "melodies"}


def load(kind: str, name: str, path: str, validation_fraction: float, options: Mapping[str, Any]) -> Dataset:
    """Tokens `[N, T]` of a text, or frames `[N, T, 88]` of music, padded with -1.

    Args:
      kind: "text" or "music".
      name: of the bundled data, "sentences" or "melodies"; only a label where a path is given.
      path: see `text.read` and `music.read`.
      validation_fraction: of "train", where there is no validation set.
      options: of `text.from_sentences` ("max_length", "vocabulary_size", "min_count", "unit") or of `music.read`
        ("max_length", "frames_per_beat"); what belongs to the other kind is not looked at.

    Raises:
      UserError: nothing usable is there.
    """
    if not path and name != BUNDLED[kind]:
        raise UserError(
            f"data.kind is '{kind}', and no data of that kind is called '{name}': take '{BUNDLED[kind]}', which is "
            "bundled, or set data.path."
        )
    place, empty = Path(path).expanduser(), 0
    if kind == "text":
        own = {key: options[key] for key in ("max_length", "vocabulary_size", "min_count", "unit") if key in options}
        lines = text.read_lines(place) if path else {"train": sentences.make_sentences()}
        given = sum(map(len, lines.values()))
        lines = {split: [line for line in some if line.strip()] for split, some in lines.items()}
        empty = given - sum(map(len, lines.values()))
        # Cut first: words of the test set alone are unknown.
        found = text.from_sentences(with_missing(lines, validation_fraction), **own)
        splits, max_value, vocabulary = found.splits, len(found.vocabulary) - 1, found.vocabulary.tokens
        if len(vocabulary) <= len(text.SPECIAL):
            raise UserError("No word is left in the vocabulary: lower data.sequence.min_count, or give more text.")
    else:
        own = {key: options[key] for key in ("max_length", "frames_per_beat") if key in options}
        made = music.Music({"train": Split(melodies.make_melodies())}, {})
        found = music.read(place, **own, validation_fraction=validation_fraction) if path else made
        splits, max_value, vocabulary = found.splits, 1, ()
    notes = tuple(f"{split}: {counts.summary}" for split, counts in found.counts.items())
    notes += (f"{empty:,} empty lines were left out",) if empty else ()
    whole = prepare(name, splits, float(max_value), validation_fraction, is_sequence=True)
    return whole._replace(sequence=kind, vocabulary=vocabulary, notes=notes)
