"""Which scripts a tokenizer knows. Many an English vocabulary has the letters of others, so that a
text in them has no unknown token, and yet is spelt out in letters that say nothing to the encoder.
"""

import functools
import unicodedata
from collections import Counter
from collections.abc import Callable, Container, Iterable

# BERT's English vocabulary has 8 Cyrillic pieces of two letters or more and 488 Chinese characters;
# multilingual ones have thousands. Of small vocabularies a share is enough.
_PIECES, _PIECES_SHARE = 200, 1 / 150
_CHARACTERS, _CHARACTERS_SHARE = 1500, 1 / 20
_WHOLE = "CJK"  # whose characters are pieces of meaning by themselves
_WITH_WHOLE = ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA")
_LATIN = "LATIN"


class Scripts:
    """The scripts of a vocabulary."""

    def __init__(self, vocabulary: Callable[[], Iterable[str]]) -> None:
        """`vocabulary`: gives its tokens, once a text has other letters than ASCII's."""
        self._vocabulary = vocabulary

    def unknown(self, text: str) -> bool:
        """Whether most of a text's letters are of scripts that the vocabulary does not know."""
        return mostly_strange(text, self)

    def __contains__(self, script: object) -> bool:
        return script == _LATIN or script in self.known

    @functools.cached_property
    def known(self) -> frozenset[str]:
        """Those that it knows, Latin among them."""
        pieces: Counter[str] = Counter()
        size = characters = 0
        for token in map(_written, self._vocabulary()):
            size += 1
            letters = [letter for letter in token if letter.isalpha()]
            scripts = {_script(letter) for letter in letters}
            if len(scripts) == 1:
                (script,) = scripts
                pieces[script] += len(letters) > 1
                characters += script == _WHOLE
        known = {_LATIN} | {
            script for script in pieces if pieces[script] >= min(_PIECES, size * _PIECES_SHARE)
        }
        if characters >= min(_CHARACTERS, size * _CHARACTERS_SHARE):
            known |= {_WHOLE, *_WITH_WHOLE}
        return frozenset(known)


def mostly_strange(text: str, known: Container[str]) -> bool:
    """Whether most of a text's letters are of none of the scripts, which are the first words of
    letters' names in Unicode.
    """
    if text.isascii():
        return False
    letters = filter(str.isalpha, unicodedata.normalize("NFKC", text))
    strange = [unicodedata.name(letter, "").split(" ")[0] not in known for letter in letters]
    return 2 * sum(strange) > len(strange)


@functools.cache
def _script(letter: str) -> str:
    """The first word of a letter's name in Unicode, as `CYRILLIC`."""
    return unicodedata.name(letter, "").partition(" ")[0]


def _written(token: str) -> str:
    """A token as it stands in texts. Byte-level vocabularies write bytes as letters."""
    try:
        return bytes(map(_bytes().__getitem__, token)).decode()
    except (KeyError, UnicodeDecodeError):  # of another kind, or part of a character
        return token


@functools.cache
def _bytes() -> dict[str, int]:
    """The byte of each letter that GPT-2's vocabulary writes for it: printable ones stand for
    themselves, the others follow from 256 on.
    """
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {
        chr(256 + number): byte for number, byte in enumerate(others)
    }
