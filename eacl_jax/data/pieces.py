"""Whether texts may be in another language than those that a model was trained on. The tokenizer
breaks their words into more pieces, and the answers, which are as sure as others, say little.
Languages that are written without blanks have no words here.

Measured with MiniLM's English vocabulary (BUILD_NOTES.md): English texts of four corpora have 1.14
to 1.17 pieces a word, and 0.2 to 0.6% of those of eight words or more are strange, 1.0 to 1.2% of
shorter ones taken together; texts in ten other languages of Latin letters have 1.8 to 3.4, and half
to all of them are.
"""

import itertools
import string
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

_T = TypeVar("_T")
_EDGES = "".join(map(chr, range(33, 127))).translate(str.maketrans("", "", string.ascii_letters))
_EDGES += "\u2018\u2019\u201c\u201d\u00a1\u00bf\u2026\u2013\u2014\u00ab\u00bb"
_WORDS, _MOST_WORDS = 8, 100  # of fewer, a rare name decides; more add nothing
_TEXTS, _STRANGE = 3, 2  # an odd one happens to anybody
_TIMES = 1.45
_SHARE = 0.05
_MOST_KEPT = 500
_MOST_LOOKED_AT, _MOST_LEARNT = 64, 2000
_BEFORE = "a"
_REMEMBERED, _LONGEST = 20_000, 40  # words, and the characters of one


class Look(NamedTuple):
    """At some texts.

    Attributes:
      texts: that are long enough to decide, or together are; some of them where there are many.
      strange: of these, whose words are broken into many more pieces than those of training.
    """

    texts: int = 0
    strange: int = 0

    def __str__(self) -> str:
        """What to say; empty where nothing is, as a few texts of any language are strange."""
        if self.texts < _TEXTS or self.strange < max(_STRANGE, _SHARE * self.texts):
            return ""
        return (
            f"{self.strange:,} of {self.texts:,} texts, short ones taken together, may be in"
            " another language than those that the model was trained on (their words are broken"
            " into many more pieces): answers to what it has not learnt to read are as sure as"
            " others, and say little"
        )

    def plus(self, other: "Look") -> "Look":
        """At these and other texts."""
        return Look(self.texts + other.texts, self.strange + other.strange)


class Listening:
    """To texts as they come, one after the other, of which most are too short to decide alone."""

    def __init__(self) -> None:
        """No text has come yet."""
        self.look = Look()
        self._short = ""

    def add(self, text: str, look: Callable[[Sequence[str]], Look]) -> None:
        """Takes one more.

        Args:
          text: the next one.
          look: of the model that answers.
        """
        joined = f"{self._short} {text}"
        seen = look([joined])
        self.look = self.look.plus(seen)
        # What holds no words, such as digits, never gets longer by itself.
        self._short = "" if seen.texts else joined[-_MOST_KEPT:]


class Pieces:
    """How many tokens a tokenizer makes of words. Words that came before are remembered: a service
    looks at texts in the thread that speaks with all callers, and hardly ever asks the tokenizer.
    """

    def __init__(self, tokenizer: Any) -> None:
        """`tokenizer`: the encoder's."""
        self._tokenizer = tokenizer
        self._known: dict[str, int] = {}

    def a_word(self, texts: Sequence[str]) -> float | None:
        """How many tokens a word of training's texts has; None where there are no words.

        Args:
          texts: of the training split; of many, some.
        """
        read = [words for text in _some(texts, _MOST_LEARNT) if (words := _words(text))]
        return sum(self._counts(read)) / sum(map(len, read)) if read else None

    def look(self, texts: Iterable[str], usual: float | None) -> Look:
        """Compares texts with those of training.

        Args:
          texts: that are answered.
          usual: `a_word` of training; None: nothing is known.
        """
        if usual is None:
            return Look()
        some = _some(list(_long(texts)), _MOST_LOOKED_AT)
        counts = self._counts(some)
        strange = [
            count > _TIMES * usual * len(words) for count, words in zip(counts, some, strict=True)
        ]
        return Look(len(some), sum(strange))

    def _counts(self, texts: Sequence[Sequence[str]]) -> list[int]:
        """The tokens of each text's words, which do not depend on those beside them."""
        known = self._known
        counts = {word: known.get(word, -1) for words in texts for word in words}
        if new := [word for word, count in counts.items() if count < 0]:
            asked = self._asked(new)
            counts |= asked
            if len(known) + len(asked) > _REMEMBERED:
                known = self._known = {}  # another thread may be at the old one
            known.update((word, asked[word]) for word in new if len(word) <= _LONGEST)
        return [sum(counts[word] for word in words) for words in texts]

    def _asked(self, words: Sequence[str]) -> dict[str, int]:
        # Many a tokenizer has other tokens for words at a text's beginning, of which there are few.
        texts = [_BEFORE, *(f"{_BEFORE} {word}" for word in words)]
        # Else transformers says that one is too long for the encoder, which never reads it.
        # Split as prompts are: the tokenizers library keeps that setting in the tokenizer, and a
        # prompt that another thread encodes meanwhile would be read with it.
        encoded = self._tokenizer(
            texts, add_special_tokens=False, split_special_tokens=True, verbose=False
        )
        before, *all_of_them = map(len, encoded["input_ids"])
        return {word: count - before for word, count in zip(words, all_of_them, strict=True)}


def _long(texts: Iterable[str]) -> Iterator[list[str]]:
    """The words of long texts, and of short ones together as soon as they are long."""
    together: list[str] = []
    for text in texts:
        words = _words(text)
        if len(words) < _WORDS:
            words = together = together + words
        if len(words) >= _WORDS:
            yield words
            if words is together:
                together = []


def _words(text: str) -> list[str]:
    """Those that are letters alone, no addresses and numbers; in small letters, as capitals are
    separate pieces to many tokenizers.
    """
    stripped = (word.strip(_EDGES).lower() for word in text.replace("-", " ").split())
    return list(itertools.islice(filter(_is_word, stripped), _MOST_WORDS))


def _is_word(text: str) -> bool:
    # Most are letters alone, which is told at once.
    return text.isalpha() or (bool(text) and all(map(_is_of_word, text)))


def _is_of_word(letter: str) -> bool:
    return letter.isalpha() or letter in "'\u2019" or unicodedata.category(letter)[0] == "M"


def _some(items: Sequence[_T], most: int) -> Sequence[_T]:
    """All, or so many of them, evenly spread."""
    if len(items) <= most:
        return items
    return [items[number * len(items) // most] for number in range(most)]
