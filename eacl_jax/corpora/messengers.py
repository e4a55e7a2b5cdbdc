"""Lines in which columns or brackets tell time, name and text: exports of LINE and KakaoTalk, and
lines of a name, a tab and a text.
"""

import re
from typing import NamedTuple

from eacl_jax.corpora.names import HALF_FIRST, MARKS, has_capitals, is_name

COLUMNS, BRACKETS = "columns", "brackets"
"""Styles: `10:31<TAB>Ann<TAB>hi`, as LINE has it, and `[Ann] [10:31 AM] hi`, as KakaoTalk does."""

_DATE = r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}"
_CLOCK = rf"(?:{HALF_FIRST}\s?)?\d{{1,2}}[:.]\d{{2}}(?:[:.]\d{{2}})?(?:\s?[AaPp]\.?\s?[Mm]\b\.?)?"
_TIMED = re.compile(rf"[{MARKS}]*(?:{_DATE},?\s)?{_CLOCK}\t")
_COLUMNS = re.compile(rf"{_TIMED.pattern}(?P<name>[^\t]{{1,60}})\t(?P<text>[^\t]*)$", re.DOTALL)
_BRACKETS = re.compile(rf"\[(?P<name>[^\t]{{1,60}}?)\]\s\[{_CLOCK}\](?:\s|$)")
# Logs of programs, and times divided in two brackets.
_NO_SENDER = re.compile(
    r"(?i:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*|debug|info|warn(?:ing)?|error|fatal|trace|today|yesterday)"
)

_WEEKDAY = (
    r"(?:(?i:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?)\.?"
    r"|[월화수목금토일]요일|[月火水木金土日]曜日|(?:星期|週|周)[一二三四五六日])"
)
_FULL_DATE = (
    rf"(?:{_DATE}|\d{{4}}[年년]\s?\d{{1,2}}[月월]\s?\d{{1,2}}[日일]"
    r"|[^\W\d]{3,9}\s\d{1,2},\s\d{4})"
)
_RULE = r"[-–—─=]{3,}"
# A day above its messages: between rules, or as KakaoTalk has it on phones; in some styles with its
# weekday alone.
_RULED_DAY = re.compile(
    rf"{_RULE}\s+(?:{_WEEKDAY},?\s)?{_FULL_DATE}(?:\s{_WEEKDAY})?\s+{_RULE}"
    rf"|\d{{4}}(?:년\s|\.\s)\d{{1,2}}(?:월\s|\.\s)\d{{1,2}}(?:일|\.)\s(?:{_CLOCK}|[월화수목금토일]요일)"
)
_DAY = re.compile(
    rf"{_WEEKDAY},?\s{_FULL_DATE}|{_FULL_DATE}\s?(?:{_WEEKDAY}|[(（][^()（）\d]{{1,12}}[)）])"
)
# What KakaoTalk notes, without a name or a time: somebody came or left, a message is hidden.
_NOTED = re.compile(
    r".{1,120}(?:님이 (?:나갔습니다|들어왔습니다)\.?.*|님[을이] .{0,60}초대(?:했|하였)습니다\.?"
    r"|내보냈습니다\.?|메시지를 가렸습니다\.?)"
    r"|.{1,60} (?:has )?(?:left|joined)(?: (?:this|the) chatroom)?\.|.{1,60} invited .{1,120}\.",
    re.DOTALL,
)
_LONGEST, _MOST_NAMES = 300, 1000
_ENOUGH = 3  # lines, of which a name comes again where names there are
_TAB = re.compile(r"(?P<name>[^\t]{1,60})\t(?P<text>[^\t]*)$", re.DOTALL)
# What somebody says, and no label: three words, the end of a sentence, a script without blanks.
_SPOKEN = re.compile(r"\S\s+\S+\s+\S|[.!?…。！？]$|[\u2e80-\uffff]{3}")


class Sent(NamedTuple):
    """A message: in which style, by which speaker, and what."""

    style: str
    speaker: str
    text: str


def sent_in(line: str) -> Sent | None:
    """The message that a line begins; None where it begins none."""
    if "\t" in line[:40] and (found := _COLUMNS.match(line)):
        name = found["name"].strip()
        if is_name(name) or any(map(str.isalpha, name)) or not name.isascii():
            return Sent(COLUMNS, name, found["text"].strip())
    if line.startswith("[") and (found := _BRACKETS.match(line)):
        name, text = found["name"].strip(), line[found.end() :].strip()
        sender = any(map(str.isalpha, name)) or not name.isascii()
        if sender and not _NO_SENDER.fullmatch(name) and not re.search(_FULL_DATE, name):
            return Sent(BRACKETS, name, text)
    return None


def noted_in(line: str, style: str) -> str:
    """What the program itself notes in an export of one of these styles; "" where it notes
    nothing.
    """
    if style == COLUMNS and (found := _TIMED.match(line)):
        return line[found.end() :].strip()
    return line if style == BRACKETS and len(line) < _LONGEST and _NOTED.fullmatch(line) else ""


def is_day(line: str, style: str) -> bool:
    """Whether a line of an export is a date above the messages of its day: `----- 2024년 5월 12일
    일요일 -----`; in some styles also `2024/05/12(Sun)`, which somebody may say elsewhere.
    """
    if len(line) > _LONGEST:
        return False
    plainly = style in (COLUMNS, BRACKETS) and _DAY.fullmatch(line)
    return bool(plainly or _RULED_DAY.fullmatch(line))


def unquoted(text: str) -> str:
    """A message of LINE: of several lines, it stands in quotes."""
    several = "\n" in text and text.startswith('"') and text.endswith('"')
    return text[1:-1].strip() if several else text


def tabbed(line: str) -> tuple[str, str] | None:
    """Speaker and text of `Ann<TAB>I got it!`, which other lines must bear out (`Columns`);
    None where nothing before a tab can be a name.
    """
    if "\t" not in line[:60] or not (found := _TAB.match(line)):
        return None
    name, text = found["name"].strip(), found["text"].strip()
    if not text or not is_name(name) or not has_capitals(name) or name[-1] in ".!?" or "：" in name:
        return None
    return name, text


class Columns:
    """Counts lines of names and texts between tabs, which might be texts and labels instead.

    Attributes:
      again: whether a name comes again.
    """

    def __init__(self) -> None:
        self._lines = self._names = 0
        self._known: set[str] = set()
        self.again = self._spoken = False

    def add(self, name: str, text: str) -> None:
        """Counts a line."""
        self._lines += 1
        self._names += is_name(name)
        self.again |= name in self._known
        if len(self._known) < _MOST_NAMES:
            self._known.add(name)
        self._spoken |= bool(_SPOKEN.search(text))

    @property
    def sure(self) -> bool:
        """Whether they are names and texts: most may be names, and one comes again, or, of one or
        two lines, a text is more than a word or two.
        """
        spoken = self._spoken and self._lines < _ENOUGH
        return 2 * self._names > self._lines and (self.again or spoken)
