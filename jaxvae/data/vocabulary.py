"""Vocabulary: the tokens of text and their numbers."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from jaxvae.common.errors import UserError, unknown
from jaxvae.common.sequences import END, PADDING

UNKNOWN = 1  # the number of `<unk>`, which replaces tokens outside the vocabulary
SPECIAL = ("<eos>", "<unk>")  # the tokens END and UNKNOWN
SEPARATORS = {"word": " ", "character": ""}  # between two tokens


@dataclass(frozen=True)
class Vocabulary:
    """Tokens in the order of their numbers; `<eos>`, the end of a sentence, is 0 and `<unk>`, any other token, 1.

    Attributes:
      tokens: `<eos>`, `<unk>`, then all others.
      unit: "word" (separated by white space) or "character".

    Raises:
      UserError: the tokens do not begin so or are not distinct strings, or the unit is unknown.
    """

    tokens: tuple[str, ...]
    unit: str = "word"

    def __post_init__(self):
        if self.unit not in SEPARATORS:
            raise unknown("unit of text", self.unit, SEPARATORS)
        strings = all(isinstance(token, str) for token in self.tokens)
        if not strings or self.tokens[:2] != SPECIAL or len(set(self.tokens)) < len(self.tokens):
            raise UserError(f"A vocabulary must begin with {' and '.join(SPECIAL)} and hold no token twice.")

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {
            token: i for i, token in enumerate(self.tokens) if i != END
        }  # `<eos>` within text does not end a sentence

    def encode(self, sentence: str) -> np.ndarray:
        """Encode a sentence as the numbers of its tokens, followed by `<eos>`: int32 `[T]`."""
        return self.numbers(tokenize(sentence, self.unit))

    def numbers(self, tokens: Sequence[str]) -> np.ndarray:
        """Encode a tokenised sentence, as `encode`."""
        numbers = self._numbers
        return np.array([*(numbers.get(token, UNKNOWN) for token in tokens), END], np.int32)

    def decode(self, ids: Iterable[int]) -> str:
        """Decode the numbers before the first `<eos>` or padding to text.

        Raises:
          UserError: a number without a token.
        """
        tokens = []
        for i in ids:
            if i in (END, PADDING):
                break
            if not 0 < i < len(self):
                raise UserError(
                    f"{i} is not a token; the {len(self)} tokens of this vocabulary are 0 to {len(self) - 1}."
                )
            tokens.append(self.tokens[i])
        return SEPARATORS[self.unit].join(tokens)


def tokenize(sentence: str, unit: str = "word") -> list[str]:
    """Split a sentence into words at white space, or into characters without white space at the ends.

    For other tokens (punctuation, case, subwords) apply your own tokenizer first, with spaces between the tokens. An
    `<eos>` at the end of the line is dropped: `encode` appends one to every sentence.
    """
    if unit == "character":
        return list(sentence.strip())
    tokens = sentence.split()
    return tokens[:-1] if tokens[-1:] == [SPECIAL[END]] else tokens


def make_vocabulary(
    sentences: Iterable[Sequence[str]], size: int = 0, min_count: int = 1, unit: str = "word"
) -> Vocabulary:
    """Make a vocabulary, the most frequent tokens first; tokens of equal counts are in alphabetical order.

    Args:
      sentences: lists of tokens.
      size: maximal number of tokens, including `<eos>` and `<unk>`; 0 for all.
      min_count: least number of occurrences of a token.
      unit: "word" or "character".

    Raises:
      UserError: a size without room for a token of the text.
    """
    if size < 0 or 0 < size <= len(SPECIAL):
        raise UserError(f"The vocabulary size is {size}; it must be above 2, since it counts <eos> and <unk>, or 0.")
    counted = Counter(token for tokens in sentences for token in tokens)
    order = sorted(
        (t for t, n in counted.items() if n >= min_count and t not in SPECIAL), key=lambda t: (-counted[t], t)
    )
    return Vocabulary((*SPECIAL, *order[: size - len(SPECIAL) if size else None]), unit)
