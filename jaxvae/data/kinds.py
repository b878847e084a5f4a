"""Data sets by kind: images and other arrays, text, music; bundled or from files."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.optional import require
from jaxvae.common.places import SUFFIXES, check_named, check_own
from jaxvae.data import bundled_tables, columns, labelled_text, melodies, music, sentences, tables, text
from jaxvae.data.labels import encode_labels
from jaxvae.data.load import load as load_images
from jaxvae.data.load import prepare, prepare_found
from jaxvae.data.split import Dataset, Split

KINDS = ("images", "text", "music", "table")
NOT_OF_IMAGES = (
    "kind", "sequence", "pixel_range", "workers", "options", "scaling", "columns", "missing", "missing_seed",
    "labels", "labels_seed",
)  # fmt: skip


def load_sequences(
    kind: str, name: str, path: str, validation_fraction: float, options: Mapping[str, Any], label: str = ""
) -> Dataset:
    """Load tokens `[N, T]` of a text, or frames `[N, T, 88]` of music, padded with -1.

    Args:
      kind: "text" or "music".
      name: of the bundled data, "sentences" or "melodies"; only a label where a path is given.
      path: as in `text.read_lines` and `music.read`.
      validation_fraction: share of "train" held out where there is no validation set.
      options: of `text.from_sentences` ("max_length", "vocabulary_size", "min_count", "unit") or of `music.read`
        ("max_length", "frames_per_beat"); options of the other kind are ignored.
      label: of text: "tab" or "file", see `labelled_text.read_labelled`; "tense" of the bundled sentences; "" for none.

    Raises:
      UserError: there is no usable data.
    """
    if not path:
        check_named(name, kind)
    place = Path(path).expanduser()
    if kind == "text":
        own = {key: options[key] for key in ("max_length", "vocabulary_size", "min_count", "unit") if key in options}
        lines, labels = read_text(place if path else None, label)
        found = text.from_sentences(lines, **own, validation_fraction=validation_fraction, labels=labels)
        splits, max_value, vocabulary = found.splits, len(found.vocabulary) - 1, found.vocabulary.tokens
        if len(vocabulary) <= len(text.SPECIAL):
            raise UserError("No word is left in the vocabulary: lower data.sequence.min_count, or give more text.")
    else:
        own = {key: options[key] for key in ("max_length", "frames_per_beat") if key in options}
        if path:
            found = music.read(place, **own, validation_fraction=validation_fraction)
        else:
            found = music.Music({"train": Split(melodies.make_melodies())}, {})
        splits, max_value, vocabulary = found.splits, 1, ()
    notes = tuple(f"{split}: {counts.summary}" for split, counts in found.counts.items())
    splits, classes = encode_labels(splits, path or name)
    whole = prepare(name, splits, float(max_value), validation_fraction, is_sequence=True)
    return whole._replace(sequence=kind, vocabulary=vocabulary, notes=notes, class_names=classes)


def read_text(path: Path | None, label: str) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the sentences and, where `data.label` asks for them, the labels by split."""
    if path is None:
        if label not in ("", "tense"):
            raise unknown("value of data.label for the bundled sentences", label, ("tense",))
        lines, tenses = sentences.labelled_sentences()
        return {"train": lines}, {"train": tenses} if label else {}
    if not label:
        return text.read_lines(path), {}
    found = labelled_text.read_labelled(path, label)
    return {split: lines for split, (lines, _) in found.items()}, {split: names for split, (_, names) in found.items()}


def open_table(settings: Mapping[str, Any]) -> tuple[Any, str, tuple[str, ...]]:
    """Read the table of the section `data`: an Arrow table, its name, and notes."""
    if not settings["path"]:
        check_named(settings["name"], "table")
        return bundled_tables.load(settings["name"]), settings["name"], ()
    path = Path(settings["path"]).expanduser()
    check_own(path, "table")
    suffix = next((end for end in SUFFIXES["table"] if path.name.lower().endswith(end)), "")
    table, notes = tables.opened(path, suffix, settings["label"])
    return table, str(path), notes


def load_table(
    settings: Mapping[str, Any], frame: Any = None, others: Mapping[str, Any] = MappingProxyType({})
) -> Dataset:
    """Load a table with a kind for each column, see `columns.from_table`.

    Args:
      settings: the section `data`.
      frame: a data frame; None for the table of the settings.
      others: data frames of further splits, "validation" and "test", with the columns of `frame`.
    """
    check_kind(settings)
    name = settings["name"]
    table, source, notes = open_table(settings) if frame is None else (frame, name, ())
    asked = settings.get("columns", ()), settings.get("context", "")
    found = columns.from_table(table, source, settings["label"], *asked)
    like = {"label": settings["label"], "context": asked[1], "classes": found.class_names}
    more = {key: columns.like_table(found.table, rows, f"{source}, {key}", **like) for key, rows in others.items()}
    found = found._replace(splits={**found.splits, **more}, notes=(*notes, *found.notes))
    return prepare_found(name, found, settings["validation_fraction"], "none")


def load_data(settings: Mapping[str, Any]) -> Dataset:
    """Load the data set of the section `data` of a config.

    Raises:
      UserError: there is no usable data, a setting does not fit its kind, or a package that it needs is missing.
    """
    kind, sequence = settings["kind"], settings["sequence"]
    check_kind(settings)
    if options := settings.get("options"):
        raise UserError(
            f"data.options are for your own data function, data.name=module:function; the data "
            f"'{settings['path'] or settings['name']}' takes none, but got {', '.join(options)}. Leave them out."
        )
    if kind == "images":
        return load_images(**{key: value for key, value in settings.items() if key not in NOT_OF_IMAGES})
    if kind == "table":
        return load_table(settings)
    own = settings["name"], settings["path"], settings["validation_fraction"], sequence, settings.get("label", "")
    return load_sequences(kind, *own)


def check_kind(settings: Mapping[str, Any]) -> None:
    """Check `data.kind` before anything is read.

    Raises:
      UserError: the kind is unknown, does not fit the settings for images, or needs a package that is missing.
    """
    kind = settings["kind"]
    if kind not in KINDS:
        raise unknown("data.kind", kind, KINDS)
    if kind != "table" and settings.get("columns"):
        raise UserError(
            f"data.columns sets the kinds of a table's columns, but data.kind is '{kind}': set it to 'table'."
        )
    if kind == "images":
        if settings["stream"]:
            require("grain")
        return
    unprocessed = {
        "pixel_range": (), "binarization": "none", "image_size": 0, "stream": False, "scaling": "none",
    }  # fmt: skip
    unprocessed |= {"label": ""} if kind == "music" else {}
    how = "each column of a table is scaled by its kind" if kind == "table" else f"{kind} is not preprocessed"
    for key, wanted in unprocessed.items():
        given = settings.get(key, wanted)
        if (tuple(given) if key == "pixel_range" else given) != wanted:
            raise UserError(f"data.{key} is {given!r}, but {how}: set it to {wanted!r}.")
    if kind == "music":
        require("mido")  # the music of a run is written as MIDI files
