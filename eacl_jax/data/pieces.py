"""Whether texts may be in another language than those that a model was trained on. The tokenizer
breaks their words into more pieces, and the answers, which are as sure as others, say little.

Measured with MiniLM's English vocabulary (BUILD_NOTES.md): English texts of four corpora have 1.14
to 1.17 pieces a word, and 0.2 to 0.6% of those of eight words or more are strange; texts in ten
other languages of Latin letters have 1.8 to 3.4, and half to all of them are.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

_T = TypeVar("_T")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_WORDS = 8  # of fewer, a rare name decides
_TIMES = 1.45
_SHARE = 0.05
_MOST_LOOKED_AT, _MOST_LEARNT = 64, 2000


class Look(NamedTuple):
    """At some texts.

    Attributes:
      texts: that are long enough to tell, some of them where there are many.
      strange: of these, whose words are broken into many more pieces than those of training.
    """

    texts: int = 0
    strange: int = 0

    def __str__(self) -> str:
        """What to say; empty where nothing is, as a few texts of any language are strange."""
        if self.strange <= _SHARE * self.texts:
            return ""
        return (
            f"{self.strange:,} of {self.texts:,} longer texts are broken into many more pieces than"
            " those that the model was trained on, as another language is: answers to what the"
            " model has not learnt to read are as sure as others, and say little"
        )


def pieces_a_word(tokenizer: Any, texts: Sequence[str]) -> float | None:
    """How many tokens a word of training's texts has; None where there are no words.

    Args:
      tokenizer: the encoder's.
      texts: of the training split; of many, some.
    """
    read = [words for text in _some(texts, _MOST_LEARNT) if (words := _words(text))]
    counts = _counts(tokenizer, read)
    return sum(counts) / sum(map(len, read)) if read else None


def look(tokenizer: Any, texts: Iterable[str], usual: float | None) -> Look:
    """Compares texts with those of training.

    Args:
      tokenizer: the encoder's.
      texts: that are answered.
      usual: `pieces_a_word` of training; None: nothing is known.
    """
    if usual is None:
        return Look()
    long = [words for text in texts if len(words := _words(text)) >= _WORDS]
    some = _some(long, _MOST_LOOKED_AT)
    counts = _counts(tokenizer, some)
    strange = [
        count > _TIMES * usual * len(words) for count, words in zip(counts, some, strict=True)
    ]
    return Look(len(some), sum(strange))


def _words(text: str) -> list[str]:
    """In small letters: capitals are pieces of their own to many tokenizers."""
    return [word.lower() for word in _WORD.findall(text)]


def _counts(tokenizer: Any, texts: Sequence[Sequence[str]]) -> list[int]:
    if not texts:
        return []
    encoded = tokenizer([" ".join(words) for words in texts], add_special_tokens=False)
    return list(map(len, encoded["input_ids"]))


def _some(items: Sequence[_T], most: int) -> Sequence[_T]:
    """All, or so many of them, evenly spread."""
    if len(items) <= most:
        return items
    return [items[number * len(items) // most] for number in range(most)]
