"""Text with labels: lines with a tab, a file or a folder for each class, and the bundled sentences."""

import numpy as np
import pytest

from jaxvae import UserError
from jaxvae.data import sentences
from jaxvae.data.kinds import load_sequences
from jaxvae.data.labelled_text import read_labelled

GOOD, BAD = [f"a good film {i}" for i in range(12)], [f"a bad plot {i} again" for i in range(8)]


def load(path, label, **options):
    return load_sequences("text", "own", str(path), 0.1, options, label)


def written(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def pairs(dataset):
    """{sentence: class} of all splits."""
    words = dataset.vocabulary
    found = {}
    for split in (dataset.train, dataset.validation, dataset.test):
        for row, label in zip(split.x, split.label, strict=True):
            found[" ".join(words[i] for i in row if i > 0)] = dataset.class_names[label]
    return found


WANTED = {**dict.fromkeys(GOOD, "good"), **dict.fromkeys(BAD, "bad")}


def test_a_file_a_class(tmp_path):
    written(tmp_path / "good.txt", [*GOOD, "", "  "])
    written(tmp_path / "bad.txt", BAD)
    dataset = load(tmp_path, "file")
    assert dataset.class_names == ("bad", "good")
    known = {**WANTED}
    found = pairs(dataset)
    assert len(found) <= len(known)  # rare words become <unk>
    for sentence, name in found.items():
        assert (" good " in sentence) == (name == "good")
    sizes = [len(split.x) for split in (dataset.train, dataset.validation, dataset.test)]
    assert sum(sizes) == 20


def test_a_folder_a_class_in_folders_of_splits(tmp_path):
    for split, rows in (("train", slice(0, 6)), ("test", slice(6, 8))):
        written(tmp_path / split / "good" / "one.txt", GOOD[rows][:1])
        written(tmp_path / split / "good" / "two.txt", GOOD[rows][1:])
        written(tmp_path / split / "bad" / "all.txt", BAD[rows])
    found = read_labelled(tmp_path, "file")
    assert found["train"] == ([*BAD[:6], *GOOD[:6]], ["bad"] * 6 + ["good"] * 6)
    assert found["test"] == ([*BAD[6:8], *GOOD[6:8]], ["bad"] * 2 + ["good"] * 2)


def test_a_label_before_a_tab(tmp_path):
    lines = [f"{name}\t{line}" for line, name in WANTED.items()]
    written(tmp_path / "all.txt", [*lines, ""])
    (texts, labels) = read_labelled(tmp_path / "all.txt", "tab")["train"]
    assert dict(zip(texts, labels, strict=True)) == WANTED


def test_nothing_before_the_tab_is_an_unknown_label(tmp_path):
    lines = [f"{name}\t{line}" for line, name in WANTED.items()]
    lines[::2] = [f"\t{line}" for line in list(WANTED)[::2]]
    written(tmp_path / "all.txt", lines)
    dataset = load(tmp_path / "all.txt", "tab")
    assert dataset.class_names == ("bad", "good")
    words, seen = dataset.vocabulary, {-1: 0, 0: 0, 1: 0}
    for split in (dataset.train, dataset.validation, dataset.test):
        for row, label in zip(split.x, split.label, strict=True):
            seen[int(label)] += 1
            assert label == -1 or dataset.class_names[label] in [words[i] for i in row if i > 0]
    assert seen == {-1: 10, 0: 4, 1: 6}


def test_labels_stay_with_their_sentences_when_others_are_left_out(tmp_path):
    lines = [f"{name}\t{line}" for line, name in reversed(WANTED.items())]
    written(tmp_path / "all.txt", [*lines, "good\t" + "very " * 30 + "good"])
    whole, short = load(tmp_path / "all.txt", "tab", max_length=4), load(tmp_path / "all.txt", "tab", max_length=40)
    assert (
        sum(len(split.x) for split in (whole.train, whole.validation, whole.test)) == 12
    )  # "bad" ones have five words
    assert set(pairs(whole).values()) == {"good"}
    assert sum(len(split.x) for split in (short.train, short.validation, short.test)) == 21


@pytest.mark.parametrize(
    ("files", "label", "words"),
    [
        ({"all.txt": ["good\tfine", "no label", "good\tx", "none"]}, "tab", "2 of 4 lines .* the first is line 2"),
        ({"all.txt": ["good\tfine"]}, "file", "is one file"),
        ({"folder/good.txt": ["fine"]}, "file", "text of 1 classes"),
        ({"all.txt": ["fine"]}, "stars", "Unknown value of data.label for text 'stars'"),
    ],
)
def test_text_without_labels_is_refused(tmp_path, files, label, words):
    for name, lines in files.items():
        written(tmp_path / name, lines)
    path = tmp_path / next(iter(files)).split("/")[0]
    with pytest.raises(UserError, match=words):
        read_labelled(path, label)


def test_the_bundled_sentences_have_their_tense():
    texts, tenses = sentences.labelled_sentences(200)
    assert texts == sentences.make_sentences(200)
    for text, tense in zip(texts, tenses, strict=True):
        words = text.split()
        assert ("will" in words) == (tense == "future")
        assert ("yesterday" not in words) or tense == "past"
    plain, labelled = (load_sequences("text", "sentences", "", 0.1, {}, label) for label in ("", "tense"))
    assert plain.train.label is None
    np.testing.assert_array_equal(plain.train.x, labelled.train.x)
    assert labelled.class_names == ("future", "past", "present")
    will = labelled.vocabulary.index("will")
    np.testing.assert_array_equal((labelled.test.x == will).any(axis=1), labelled.test.label == 0)
    with pytest.raises(UserError, match="for the bundled sentences"):
        load_sequences("text", "sentences", "", 0.1, {}, "tab")
