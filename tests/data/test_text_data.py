"""Text: lines, tokens, vocabularies, what is left out and counted, and the bundled sentences."""

import zlib

import numpy as np
import pytest

from jaxvae import UserError
from jaxvae.data import text
from jaxvae.data.padding import pad
from jaxvae.data.sentences import ADJECTIVES, NOUNS, PLACES, TIMES, VERBS, make_sentences
from jaxvae.data.vocabulary import Vocabulary, make_vocabulary

TRAIN = ["the cat sat", "", " the\tdog  sat ", "a <unk> cat", "  ", "one two three four five six"]
TEST = ["the bird <unk>", "cat", "bird a"]


def test_sentences_become_numbers_that_end_with_eos_and_then_padding():
    found = text.from_sentences({"train": TRAIN, "test": TEST}, max_length=5)
    assert found.vocabulary.tokens == ("<eos>", "<unk>", "cat", "sat", "the", "a", "dog")
    np.testing.assert_array_equal(found.splits["train"].x, [[4, 2, 3, 0], [4, 6, 3, 0], [5, 1, 2, 0]])
    np.testing.assert_array_equal(found.splits["test"].x, [[4, 1, 1, 0], [2, 0, -1, -1], [1, 5, 0, -1]])
    assert {split.x.dtype for split in found.splits.values()} == {np.dtype(np.int32)}
    assert all(split.label is None and split.factors is None for split in found.splits.values())
    assert found.counts["train"] == text.Counts(3, 12, unknown=1, replaced=0, too_long=1, empty=2)
    assert found.counts["test"] == text.Counts(3, 9, unknown=3, replaced=2, too_long=0, empty=0)
    assert "3 sentences of 4.0 tokens" in found.counts["train"].summary
    assert "1 too long, 2 empty" in found.counts["train"].summary


def test_missing_splits_are_cut_out_of_what_is_kept():
    """Words of the test set alone are unknown; empty and over-long lines take no place in a split."""
    lines = [line for i in range(50) for line in (f"word w{i}", "", "one line that is too long")]
    found = text.from_sentences({"train": lines}, max_length=2, validation_fraction=0.1)
    assert {split: counts.sentences for split, counts in found.counts.items()} == {
        "train": 36, "validation": 4, "test": 10
    }  # fmt: skip
    assert {split: (c.too_long, c.empty) for split, c in found.counts.items()} == {
        "train": (50, 50), "validation": (0, 0), "test": (0, 0)
    }  # fmt: skip
    assert found.counts["test"].replaced == 10
    assert len(found.vocabulary) == 2 + 1 + 36


@pytest.mark.parametrize("unit", ["word", "character"])
def test_text_comes_back_from_its_numbers(unit):
    sentences = [*make_sentences(200), "l'été, déjà 日本 🎵"]
    found = text.from_sentences({"train": sentences}, unit=unit)
    assert [found.vocabulary.decode(row) for row in found.splits["train"].x] == sentences
    assert [found.vocabulary.decode(found.vocabulary.encode(s)) for s in sentences] == sentences
    assert found.vocabulary.decode(found.vocabulary.encode(" été  ")) == ("été" if unit == "character" else "<unk>")
    assert found.vocabulary.decode([]) == found.vocabulary.decode([0, 2, 3]) == ""


def test_the_longest_sentence_of_all_splits_is_the_length():
    found = text.from_sentences({"train": ["a b"], "validation": ["a b c d"], "test": ["a"]})
    assert {name: split.x.shape for name, split in found.splits.items()} == {
        "train": (1, 5), "validation": (1, 5), "test": (1, 5)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("size", "min_count", "tokens"),
    [(0, 1, "cbad"), (0, 2, "cba"), (0, 3, "c"), (0, 4, ""), (3, 1, "c"), (5, 1, "cba"), (5, 3, "c"), (100, 1, "cbad")],
)
def test_a_vocabulary_has_the_commonest_tokens_first(size, min_count, tokens):
    sentences = [s.split() for s in ("c b a", "c a <eos> <unk>", "b c", "d")]
    order = sorted(tokens, key=lambda t: (-sum(s.count(t) for s in sentences), t))
    assert make_vocabulary(sentences, size, min_count).tokens == ("<eos>", "<unk>", *order)


def test_an_eos_in_the_text_ends_no_sentence():
    found = text.from_sentences({"train": ["a b <eos>", "a <eos> b", "<eos>"]})
    np.testing.assert_array_equal(found.splits["train"].x, [[2, 3, 0, -1], [2, 1, 3, 0]])
    assert found.counts["train"] == text.Counts(2, 7, unknown=1, replaced=1, too_long=0, empty=1)


def test_the_marks_are_ordinary_text_among_characters():
    found = text.from_sentences({"train": ["<unk><eos>"]}, unit="character")
    assert found.vocabulary.decode(found.splits["train"].x[0]) == "<unk><eos>"
    assert found.counts["train"].unknown == 0


@pytest.mark.parametrize(
    ("tokens", "unit", "said"),
    [
        (("a", "b"), "word", "must begin with <eos> and <unk>"),
        (("<eos>", "<unk>", "a", "a"), "word", "hold no token twice"),
        (("<eos>", "<unk>", 3), "word", "must begin with"),
        (("<eos>", "<unk>"), "line", "Unknown unit of text 'line'"),
    ],
)
def test_what_is_no_vocabulary_is_refused(tokens, unit, said):
    with pytest.raises(UserError, match=said):
        Vocabulary(tokens, unit)


@pytest.mark.parametrize("number", [3, -2])
def test_a_number_without_a_token_is_refused(number):
    with pytest.raises(UserError, match=f"{number} is not a token; the 3 tokens"):
        Vocabulary(("<eos>", "<unk>", "a")).decode([2, number])


@pytest.mark.parametrize("content", [b"a b\nc\n", b"a b\r\nc\r\n", b"\xef\xbb\xbfa b\nc", b" a  b\nc "])
def test_a_file_is_all_train_whatever_ends_its_lines(tmp_path, content):
    path = tmp_path / "some.text"
    path.write_bytes(content)
    found = text.from_sentences(text.read_lines(path))
    assert [found.vocabulary.decode(row) for row in found.splits["train"].x] == ["a b", "c"]
    assert list(found.splits) == ["train"]
    assert found.counts["train"].empty == 0


@pytest.mark.parametrize(
    "names",
    [
        ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"),
        ("Train.TXT", "val_2.txt", "my-test.txt"),
        ("train_val_test.txt", "validation.txt", "latest_test.txt"),
    ],
)
def test_the_files_of_a_folder_are_known_by_a_word_of_their_names(tmp_path, names):
    for name, word in zip((*names, "latest.txt", "train.csv"), "abcde", strict=True):
        (tmp_path / name).write_text(word)
    assert text.read_lines(tmp_path) == {"train": ["a"], "validation": ["b"], "test": ["c"]}


def test_training_files_follow_one_another_and_alone_make_the_vocabulary(tmp_path):
    for name, content in {"train2.txt": "c d\n", "train1.txt": "a\n\nb\n", "test.txt": "a e\n"}.items():
        (tmp_path / name).write_text(content)
    found = text.from_sentences(text.read_lines(tmp_path))
    assert found.vocabulary.tokens[2:] == ("a", "b", "c", "d")
    assert [found.vocabulary.decode(row) for row in found.splits["train"].x] == ["a", "b", "c d"]
    assert found.counts["train"].empty == found.counts["test"].replaced == 1


@pytest.mark.parametrize(
    ("files", "settings", "said"),
    [
        ({}, {}, "has no training text; its .txt files: none"),
        ({"test.txt": b"a", "latest.txt": b"a"}, {}, "has no training text; its .txt files: latest.txt, test.txt"),
        ({"train.txt": b""}, {}, "The train text of .* is empty"),
        ({"train.txt": b"a", "test.txt": b"\n \n"}, {}, "The test text of .* is empty"),
        ({"train.txt": b"a\nb\nc\xe9 d\n"}, {}, r"Line 3 of '.*train.txt' is not UTF-8 \(byte 0xe9 at 2\)"),
        ({"train.txt": "a b\n".encode("utf-16-le")}, {}, "holds zero bytes"),
        ({"train.txt": b"a\nb c d\n\n", "valid.txt": b"a b c\n\nb c d e"}, {"max_length": 2},
         "'validation' has no sentence left: of 3 lines 1 are empty, and 2 have more than 2 tokens"),
        ({"train.txt": b"a"}, {"max_length": -1}, "greatest length of a sentence is -1"),
        ({"train.txt": b"a"}, {"vocabulary_size": 2}, "vocabulary size is 2; it must be above 2"),
        ({"train.txt": b"a"}, {"vocabulary_size": -1}, "vocabulary size is -1"),
        ({"train.txt": b"a"}, {"unit": "words"}, "Unknown unit of text 'words'. Did you mean 'word'"),
    ],
)  # fmt: skip
def test_what_is_no_usable_text_is_refused(tmp_path, files, settings, said):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=said) as raised:
        text.from_sentences(text.read_lines(tmp_path), **settings)
    assert "\n" not in str(raised.value)


def test_a_path_to_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"data.path is '.*none.txt', which does not exist. Give a text file"):
        text.read_lines(tmp_path / "none.txt")


def test_an_array_that_no_machine_holds_is_refused_before_it_is_made():
    sequences = [np.broadcast_to(np.int32(0), (10**8,))] * 100
    with pytest.raises(UserError, match=r"more than 32 GiB. Set a smaller greatest length"):
        pad(sequences, 10**8)


def test_the_bundled_sentences_are_the_same_ones_everywhere():
    sentences = make_sentences()
    assert len(sentences) == len(set(sentences)) == 3000
    assert zlib.crc32("\n".join(sentences).encode()) == 1647186799
    lengths = [len(s.split()) for s in sentences]
    assert (min(lengths), max(lengths)) == (3, 12)
    assert len(text.from_sentences({"train": sentences}).vocabulary) == 144


def test_the_bundled_sentences_agree_in_number_and_tense():
    numbers = {form: i for nouns in NOUNS.values() for forms in nouns for i, form in enumerate(forms)}
    forms = {form: i for *_, verbs in VERBS for row in verbs for i, form in enumerate(row)}
    adjectives = {word for words in ADJECTIVES.values() for word in words}
    seen = set()
    for sentence in make_sentences():
        words = sentence.split()
        time = next((tense for tense, when in TIMES.items() if when in sentence), None)
        subject = next(numbers[word] for word in words if word in numbers)
        verb = next(word for word in words if word in forms)
        tense = "future" if "will" in words else ("present", "present", "past")[forms[verb]]
        seen.add((subject, tense, time))
        assert time in (None, tense)
        if tense != "past":
            assert forms[verb] == (1 if tense == "present" and subject == 0 else 0)
        for word, *after in zip(words, words[1:], words[2:], strict=False):
            if word in ("a", "an", "two", "some"):
                noun = after[after[0] in adjectives]
                assert numbers[noun] == (word in ("two", "some"))
                assert word not in ("a", "an") or (word == "an") == (after[0][0] in "aeiou")
        assert all(words[i + 2] in PLACES for i, word in enumerate(words) if word in ("in", "near", "behind"))
    assert len(seen) == 12  # one or many, three tenses, each with and without its time
