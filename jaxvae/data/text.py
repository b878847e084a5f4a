"""Read text, one sentence per line, as arrays of token numbers, padded with -1."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.places import check_own
from jaxvae.data.padding import pad
from jaxvae.data.split import SPLIT_NAMES, Split, with_missing
from jaxvae.data.vocabulary import SEPARATORS, SPECIAL, UNKNOWN, Vocabulary, make_vocabulary, tokenize


class Counts(NamedTuple):
    """Counts of one split.

    Attributes:
      sentences: sentences kept.
      tokens: tokens in them, including one `<eos>` each.
      unknown: number of `<unk>` among these tokens.
      replaced: number of these `<unk>` that replace tokens outside the vocabulary; the others are in the text itself.
      too_long: sentences left out because they have more than `max_length` tokens.
      empty: empty lines, left out.

    Sentences left out are counted with the split they were read from: with "train" for a split taken out of it.
    """

    sentences: int
    tokens: int
    unknown: int
    replaced: int
    too_long: int
    empty: int

    @property
    def summary(self) -> str:
        """One line for people."""
        return (
            f"{self.sentences:,} sentences of {self.tokens / max(self.sentences, 1):.1f} tokens with <eos>; <unk> "
            f"{self.unknown:,} ({self.replaced:,} by the vocabulary); left out: {self.too_long:,} too long, "
            f"{self.empty:,} empty"
        )


class Text(NamedTuple):
    """Splits of `[N, T]` int32 with a common T, their vocabulary, and their counts."""

    splits: dict[str, Split]
    vocabulary: Vocabulary
    counts: dict[str, Counts]


def read_lines(path: Path) -> dict[str, list[str]]:
    """Read the lines of a UTF-8 file, which are all "train", or of a folder.

    In a folder, the `.txt` files with the word train, validation (valid, val) or test in their names are read, such as
    `ptb.train.txt` or `train_1.txt`; the files of a split are concatenated. Other files are ignored.

    Raises:
      UserError: a missing path, no training file, no sentence, or text that is not UTF-8.
    """
    check_own(path, "text")
    found = _folder(path) if path.is_dir() else {"train": lines_of(path)}
    for split, lines in found.items():
        if not any(map(str.strip, lines)):
            raise UserError(f"The {split} text of '{path}' is empty. Give one sentence per line.")
    return found


def _folder(path: Path) -> dict[str, list[str]]:
    names = split_files(path)
    words = {name: set(re.split(r"[^a-z]+", name.stem.lower())) for name in names}
    found: dict[str, list[str]] = {}
    for split, spellings in SPLIT_NAMES.items():
        if mine := [name for name in names if words[name] & set(spellings)]:
            found[split] = [line for name in mine for line in lines_of(name)]
        names = [name for name in names if name not in mine]
    if "train" not in found:
        listed = ", ".join(name.name for name in words) or "none"
        raise UserError(
            f"The folder '{path}' has no training text; its .txt files: {listed}. Name the files train.txt, valid.txt "
            "and test.txt, or with further words as in 'ptb.train.txt', or give one file."
        )
    return found


def split_files(folder: Path) -> list[Path]:
    """Return the `.txt` files of a folder, in order."""
    return sorted(each for each in folder.iterdir() if each.suffix.lower() == ".txt" and each.is_file())


def lines_of(path: Path) -> list[str]:
    """Read the lines of a UTF-8 file; raise UserError where it cannot be read or is not UTF-8."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror}.") from error
    if b"\0" in content:
        raise UserError(f"'{path}' holds zero bytes: it is not UTF-8 text, but UTF-16 or not text at all.")
    lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    lines = lines[:-1] if lines[-1] == b"" else lines  # a line ends with its \n
    try:
        return [line.decode() for line in lines]
    except UnicodeDecodeError:
        number, reason = next((i, e) for i, line in enumerate(lines, 1) if (e := _reason(line)))
        raise UserError(
            f"Line {number} of '{path}' is not UTF-8 ({reason}). Save the file as UTF-8, for example with: "
            "iconv -f latin1 -t utf-8."
        ) from None


def _reason(line: bytes) -> str:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        return f"byte 0x{line[error.start]:02x} at {error.start + 1}"
    return ""


def from_sentences(
    sentences: Mapping[str, Iterable[str]],
    max_length: int = 0,
    vocabulary_size: int = 0,
    min_count: int = 1,
    unit: str = "word",
    validation_fraction: float | None = None,
    labels: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Text:
    """Encode sentences as numbers: each ends with `<eos>`, and is padded with -1 to the longest of all splits.

    Args:
      sentences: by split, at least "train".
      max_length: sentences of more tokens, without `<eos>`, are left out; 0 keeps all.
      vocabulary_size: as in `make_vocabulary`; the vocabulary is made from the training sentences that are kept.
      min_count: as in `make_vocabulary`.
      unit: "word" or "character".
      validation_fraction: where given, missing splits are taken out of the sentences of "train" that are kept.
      labels: by split, a label for each sentence; they become the labels of the splits, strings `[N]`.

    Raises:
      UserError: a split has no sentence, or a setting is out of range.
    """
    if unit not in SEPARATORS:
        raise unknown("unit of text", unit, SEPARATORS)
    if max_length < 0:
        raise UserError(f"The greatest length of a sentence is {max_length}; it must be 1 or more, or 0 for any.")
    kept, left_out = {}, {}
    for split, lines in sentences.items():
        beside = labels.get(split) or itertools.repeat("")
        found = [(tokenize(line, unit), label) for line, label in zip(lines, beside, strict=split in labels)]
        some = [pair for pair in found if pair[0]]
        kept[split] = [pair for pair in some if not max_length or len(pair[0]) <= max_length]
        left_out[split] = len(some) - len(kept[split]), len(found) - len(some)
        if not kept[split]:
            raise UserError(
                f"The split '{split}' has no sentence left: of {len(found)} lines {len(found) - len(some)} are empty, "
                f"and {len(some)} have more than {max_length} tokens. Give more text, or a greater length (0 for any)."
            )
    if validation_fraction is not None:
        kept = with_missing(kept, validation_fraction)
    vocabulary = make_vocabulary([tokens for tokens, _ in kept["train"]], vocabulary_size, min_count, unit)
    ids = {split: [vocabulary.numbers(tokens) for tokens, _ in found] for split, found in kept.items()}
    longest = max(len(row) for rows in ids.values() for row in rows)
    counts = {}
    for split, rows in ids.items():
        unk = sum(int((row == UNKNOWN).sum()) for row in rows)
        stood = sum(tokens.count(SPECIAL[UNKNOWN]) for tokens, _ in kept[split])
        counts[split] = Counts(len(rows), sum(map(len, rows)), unk, unk - stood, *left_out.get(split, (0, 0)))
    named = {split: np.array([label for _, label in found]) if labels else None for split, found in kept.items()}
    splits = {split: Split(pad(rows, longest), named[split]) for split, rows in ids.items()}
    return Text(splits, vocabulary, counts)
