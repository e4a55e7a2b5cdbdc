"""Who says a line: whether what stands before a colon is a name."""

import re
import unicodedata

# Marks of writing direction, which exports put before a message and inside a date.
MARKS = "\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"
AROUND = re.compile(rf"^[{MARKS}\s]+|[{MARKS}\s]+$")

_LONGEST_NAME = 40
_MOST_WORDS = 5
# Before a time and a colon, these begin a sentence: "at 10:30: come".
_NO_NAMES = frozenset(
    "about after around at before by from on since till today tomorrow tonight until yesterday".split()  # noqa: SIM905
)
# Words inside a name that begin with a small letter.
_PARTICLES = frozenset(
    "af al bin da das de del den der des di do dos du el ibn la le of the van von y zu".split()  # noqa: SIM905
)
# "At 12:30 I left" and "a ratio of 16:9" name nobody.
_NUMBER, _DIGIT = re.compile(r"(?<!\w)\d+$"), re.compile(r"\d")


def is_name(text: str) -> bool:
    """Whether what stands before a colon is a name and not the beginning of a sentence."""
    words = text.split()
    if not words or len(words) > _MOST_WORDS or len(text) > _LONGEST_NAME or ":" in text:
        return False
    if text.casefold() in _NO_NAMES:
        return False
    first = text[0]
    if first == "+":  # a telephone number
        return text[1:].replace(" ", "").replace("-", "").isdigit()
    if not (first.isalnum() or first in "@_~" or _is_sign(first)):
        return False
    if not any(letter.isalpha() or _is_sign(letter) for letter in text) or (
        first.isdigit() and len(words) > 1
    ):
        return False
    # "My only question is: why?" has as many words as some names, but names of three words or more
    # have capitals.
    return len(words) < 3 or has_capitals(text)


def has_capitals(name: str) -> bool:
    """Whether no word of a name begins with a small letter, but for those inside that may."""
    return all(not word[0].islower() or word in _PARTICLES for word in name.split())


def divide(line: str) -> tuple[str, str] | None:
    """The speaker and the text of `SPEAKER: text`; None where a line names nobody."""
    speaker, colon, text = line.partition(":")
    speaker = AROUND.sub("", speaker)
    between = _NUMBER.search(speaker) and _DIGIT.match(text)
    if colon and not between and not text.startswith("//") and is_name(speaker):
        return speaker, text.strip()
    return None


def _is_sign(letter: str) -> bool:
    """An emoji, or another symbol that is no punctuation of ASCII."""
    return not letter.isascii() and unicodedata.category(letter) in ("So", "Sk", "Sm", "Mn", "Cf")
