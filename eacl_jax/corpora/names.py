"""Who says a line: whether what stands before a colon is a name."""

import re
import unicodedata

# Marks of writing direction, which exports put before a message and inside a date.
MARKS = "\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"
# At the end only from the first of them on: from each of a run, it would take the square of their
# number.
AROUND = re.compile(rf"^[{MARKS}\s]+|(?<![{MARKS}\s])[{MARKS}\s]+$")

HALF_FIRST = r"(?:오전|오후|上午|下午|午前|午後)"
"""Of the day, before a time: 오전 10:31."""

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
# "At 12:30 I left", "a ratio of 16:9" and 午前9:05 name nobody.
_NUMBER, _DIGIT = re.compile(rf"(?:(?<!\w)|^{HALF_FIRST})\d+$"), re.compile(r"\d")
# Numbers of telephones, as chats and calls have them in place of names.
_PHONE = re.compile(r"\+\d[\d\s()./-]{3,24}\d|(?:\(?0\d|\(\d{2,4}\))[\d\s()/-]{4,24}\d")
_DATE = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}")
# Signs around a name, as call tools and language models write it: `[SPEAKER_00]: hi`, `**Ann:** hi`.
_AROUND_NAME = {
    "[": "]",
    "<": ">",
    "(": ")",
    "{": "}",
    "{{": "}}",
    '"': '"',
    "“": "”",
    "*": "*",
    "**": "**",
}
_WRAPPED = re.compile(
    r"(?P<begin>\{\{|\*\*|[\[<({\"“*])(?P<name>[^\[\]<>(){}\"“”*:：]{1,40}?)"
    r"(?:(?P<end>\}\}|\*\*|[\]>)}\"”*])\s*+[:：]|[:：]\s?(?P<behind>\*\*|\*))(?!//)"
)
_COLON = re.compile(r"[:：]")
# In a sentence of Chinese or Japanese, which has no blanks: 我的问题，是：
_WIDE = re.compile(r"[，。、！？；]")
_LONGEST_WIDE = 10
# Before a name that is not read: `- Ann: hi`, `1. Ann: hi`, `#2 Ann: hi`.
_LEADING = re.compile(r"\s*(?:[^\w\s]{1,3}\s*)?(?:\d{1,4}[.)\]]?\s+)?(?:[^\w\s]{1,2}\s*)?")
_ANGLED = re.compile(r"\s*<[^<>\s]{1,30}>\s")
_LONGEST_HEAD = 60


def is_name(text: str) -> bool:
    """Whether what stands before a colon is a name and not the beginning of a sentence."""
    words = text.split()
    if not words or len(words) > _MOST_WORDS or len(text) > _LONGEST_NAME or ":" in text:
        return False
    if text.casefold() in _NO_NAMES:
        return False
    first = text[0]
    if first == "+" or _PHONE.fullmatch(text):
        plain = text[1:].replace(" ", "").replace("-", "").isdigit()
        return (plain or bool(_PHONE.fullmatch(text))) and not _DATE.fullmatch(text)
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
    if wrapped := divide_wrapped(line):
        return wrapped
    if not (colon := _COLON.search(line)):
        return None
    speaker, text = AROUND.sub("", line[: colon.start()]), line[colon.end() :]
    if colon[0] == "：" and (len(speaker) > _LONGEST_WIDE or _WIDE.search(speaker)):
        return None
    between = _NUMBER.search(speaker) and _DIGIT.match(text)
    if not between and not text.startswith("//") and is_name(speaker):
        return speaker, text.strip()
    return None


def divide_wrapped(line: str) -> tuple[str, str] | None:
    """The same of `[SPEAKER]: text`, `**SPEAKER:** text` and the like."""
    if found := _WRAPPED.match(line):
        name, end = found["name"].strip(), found["end"] or found["behind"]
        if _AROUND_NAME[found["begin"]] == end and is_name(name):
            return name, line[found.end() :].strip()
    return None


def begins_like_a_name(line: str) -> bool:
    """Whether a line would name its speaker, but for signs or a number before the name: `- Ann:
    hi`, `1. Ann: hi`; or `<ann> hi`.
    """
    if _ANGLED.match(line):
        return True
    head = _LEADING.sub("", line[:_LONGEST_HEAD], count=1)
    colon = _COLON.search(head)
    if not colon or head == line[:_LONGEST_HEAD]:
        return False
    return is_name(head[: colon.start()].strip("*_\"' "))


def _is_sign(letter: str) -> bool:
    """An emoji, or another symbol that is no punctuation of ASCII."""
    return not letter.isascii() and unicodedata.category(letter) in ("So", "Sk", "Sm", "Mn", "Cf")
