"""How lines begin a message: with a time, a date, or a name and a time above the message."""

import functools
import re
from typing import NamedTuple

from eacl_jax.corpora.messengers import noted_in, sent_in
from eacl_jax.corpora.names import AROUND, MARKS, divide, divide_wrapped, has_capitals, is_name

# Halves of the day: also in Arabic, Greek, Vietnamese; and German's word behind a time.
_HALVES = r"(?:[AaPp]\.?\s?[Mm]\b\.?|[صم]\b|[πμ]\.\s?μ\.|(?:SA|CH|Uhr)\b)"
# `10:31`, `10.31.05`, `00:04.000`; no `12.05.2024`
_CLOCK = r"(?:\d{1,2}:\d{2}(?:[:.]\d{2})?(?:[.,]\d{1,6})?|\d{1,2}\.\d{2}(?:[:.]\d{2})?(?:,\d{1,6})?(?!\d))"
_TIME = rf"{_CLOCK}(?:Z|[+-]\d{{2}}:?\d{{2}})?(?:\s?{_HALVES})?"
_TO = rf"(?:\s*+(?:[-–]|-->)\s*+{_TIME})?"  # of a turn, to its end
# `12/05/2024`, `12. 5. 2024`, `2024年5月12日`
_NUMBERS = r"(?:\d{1,4}(?:[./-]|\.\s)\d{1,2}(?:[./-]|\.\s)\d{1,4}\.?|\d{2,4}[年년]\s?\d{1,2}[月월]\s?\d{1,2}[日일])"
_DATE = rf"(?:{_NUMBERS}|\d{{1,2}}\.?\s\w{{3,9}}\.?,?(?:\s\d{{4}})?|\w{{3,9}}\.?\s\d{{1,2}}(?:,?\s\d{{4}})?)"
_DAY = r"(?:(?:[Tt]oday|[Yy]esterday)(?: at|,)?|" + _DATE + r")"
# Dates that nothing else may be, as "Speaker 1" may.
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_CERTAIN = (
    rf"(?i:{_NUMBERS}|\d{{1,2}}\.?\s\w{{3,9}}\.?,?\s\d{{4}}|\w{{3,9}}\.?\s\d{{1,2}},?\s\d{{4}}"
    rf"|{_MONTH}\s\d{{1,2}}|\d{{1,2}}\.?\s{_MONTH})"
)
# A day up to its time; behind a certain date a short word may stand: `klo`, `à`, `at`, `上午`.
_UP_TO = rf"(?:{_CERTAIN}(?:\sг\.)?[,،]?\s\s*+(?:[^\W\d_]{{1,4}}\.?\s?)?|{_DAY},?[\sT]\s*+)"
# What a line may begin with: a time, with a date or not, in brackets or before a dash or a blank.
# Blanks are given back to nothing else (`*+`): a line of them would take the third power of their
# number.
_STAMP = re.compile(
    r"\s*+(?:"
    rf"(?P<bracketed>[\[(]\s*+(?P<day1>{_UP_TO})?{_TIME}{_TO}(?P<after1>,\s*+{_DAY})?\s*+[\])])(?:\s*+[-–—](?=\s))?"
    rf"|(?P<dashed>(?P<day2>{_UP_TO})?{_TIME}(?P<after2>,\s*+{_DAY})?\s*+[-–—](?=\s))"
    rf"|(?P<plain>(?P<day3>{_UP_TO})?{_TIME}(?(day3),?)(?=\s))"  # KakaoTalk's phones: a comma
    r")\s*"
)
_AT = rf"(?:{_UP_TO})?{_TIME}"
_ABOVE = re.compile(
    rf"[{MARKS}\s]*+(?:"
    rf"(?P<name>\S.*?)(?:(?P<dash>\s*+[—–]\s*+[\[(]?{_AT}[\])]?)|(?P<blanks>\s\s++[\[(]?{_AT}[\])]?)"
    rf"|(?P<brackets>\s++[\[(]{_AT}[\])]:?)|(?P<half>\s{_AT}(?<=[Mm.]))"
    rf"|(?P<date>\s{_NUMBERS}\s++{_CLOCK}))"
    rf"|(?P<before>[\[(]{_AT}[\])]\s*+)(?P<after>[^:]*[^:\s]))\s*"
)
_FORMS = ("dash", "blanks", "brackets", "half", "date", "before")
_HALF, _WITH_DAY = re.compile(r"[AaPp]\.?\s?[Mm]\b"), re.compile(r"[^\W\d]{3}|\d[./-]\d+[./-]\d")
_IS_DATE = re.compile(rf"{_CERTAIN}(?:\s(?:at|um))?", re.IGNORECASE)
# A date and time alone, as `May 12, 2024 10:31:05 AM (Read by you after 1 minute)`.
_DATE_LINE = re.compile(
    rf"[{MARKS}\s]*+{_CERTAIN},?\s++(?:at\s)?{_TIME}(?:\s*+\((?:Read|Delivered|Edited)[^()]*\))?\s*",
    re.IGNORECASE,
)
# What a chat program notes, where a colon stands in it: `Ann changed the subject to Fun: us`.
_EVENT = re.compile(
    r"\S (?:(?:added|invited|removed) \S|(?:changed|deleted|left|named|pinned|set) (?:the|this|their|to|from|a)\b"
    r"|created (?:the |this |a )?(?:group|community)\b|joined (?:using|from|via|the)\b|started a\b"
    r"|turned o(?:n|ff)\b|(?:was|were) (?:added|removed)\b)"
)
_NAMED_AT = re.compile(
    rf"(?P<speaker>[^\s:][^:]*?)\s*+,?\s*+[\[(]?\s*+(?:{_CERTAIN},?\s++(?:at\s)?)?{_TIME}{_TO}\s*+[\])]?\s*+:(?=\s)"
)
# `From Ann to Everyone: hi`, behind a time: Zoom's chat.
_FROM = re.compile(r"[Ff]rom\s++(?P<name>[^:]{1,60}?)\s++to\s++[^:]{1,60}:")
# `<ann> hi`, behind a time: IRC. A sign of rank may stand before the name.
_ANGLED = re.compile(r"<[@+%~&]?(?P<name>[^<>\s]{1,30})>\s")
_MARK, _MARKS_FIRST = re.compile(rf"[{MARKS}]"), re.compile(rf"[{MARKS}\s]+")
# Characters in which the beginning of a message is looked for: lines may be very long.
_HEAD = 120


ABOVE, STACKED, SENT = "above", "stacked", "sent"
"""Styles: a line with name and time above the message; one with date and time, and one with the
name; a time, the sender and the recipients."""


class Beginning(NamedTuple):
    """How a line begins a message.

    Attributes:
      style: of an export; "" where it begins none.
      dated: with a date, or with a name and a time above the message, as exports do.
      speaker: who says it; "" for what the chat program itself notes: somebody came, left, changed
        a number; and in `STACKED`, where the next line says it.
      text: what.
      form: how name and time stand above the message.
    """

    style: str = ""
    dated: bool = False
    speaker: str = ""
    text: str = ""
    form: tuple[str, bool, bool] | None = None

    @property
    def noted(self) -> bool:
        """Whether the chat program says it."""
        return self.dated and not self.speaker and self.style != STACKED


def _stamp_of(line: str) -> tuple[re.Match[str] | None, str]:
    """The date and time that a line begins with, and what follows: marks of direction may stand
    inside.
    """
    found, end = _stamp_at(line[:_HEAD])
    behind = _MARKS_FIRST.match(line, end) if found else None
    return found, line[behind.end() if behind else end :]


@functools.lru_cache(64)  # a line is looked at more than once
def _stamp_at(head: str) -> tuple[re.Match[str] | None, int]:
    """The date and time that begin a line's head, and where they end in it."""
    found = _STAMP.match(_MARK.sub("", head))
    left, end = found.end() if found else 0, 0
    while left:
        left -= not _MARK.match(head, end)
        end += 1
    return found, end


def beginning_of(line: str) -> Beginning:
    """How a line begins a message, if it does."""
    line = line.strip()
    if len(line) < _HEAD and _DATE_LINE.fullmatch(line):
        return Beginning(STACKED, True)
    if message := sent_in(line):
        return Beginning(message.style, True, message.speaker, message.text)
    stamp, rest = _stamp_of(line)
    if stamp:
        if sent := _FROM.match(rest):
            return Beginning(SENT, True, sent["name"], rest[sent.end() :].strip())
        style = next(name for name in ("bracketed", "dashed", "plain") if stamp[name])
        dated = any(stamp[day] for day in ("day1", "after1", "day2", "after2", "day3"))
        if (wrapped := divide_wrapped(rest)) and (dated or style != "plain"):
            return Beginning(style, dated, *wrapped)
        speaker, colon, text = rest.partition(":")
        speaker = AROUND.sub("", speaker)
        # With a date before it, a sender may have any name; without, it must look like one.
        if (
            colon
            and (text[:1].isspace() or not text)
            and (is_name(speaker) or (dated and speaker and len(speaker) < _HEAD))
            and not _quotes(speaker)
        ):
            if dated and _EVENT.search(speaker):
                return Beginning(style, dated, "", rest)
            if dated or style != "plain":
                return Beginning(style, dated, speaker, text.strip())
        elif style == "dashed" and dated:
            return Beginning(style, dated, "", rest)
    if (above := _above(line)).style:
        return above
    return next(
        (
            Beginning(style, True, "", text)
            for style in ("bracketed", "plain")
            if (text := note_in(line, style))
        ),
        Beginning(),
    )


def note_in(line: str, style: str) -> str:
    """What a chat program itself notes in an export of this style; "" where a line goes on with a
    message.
    """
    if note := noted_in(line.strip(), style):
        return note
    stamp, rest = _stamp_of(line.strip())
    noted = stamp and (
        stamp["bracketed"] and (stamp["day1"] or stamp["after1"])
        if style == "bracketed"
        else style == "plain" and stamp["plain"] and stamp["day3"]
    )
    return rest if noted else ""


def _above(line: str) -> Beginning:
    found = head_above(line)
    return found if has_capitals(found.speaker) else Beginning()


def head_above(line: str) -> Beginning:
    """The name and time that a line consists of, whatever letters the name begins with: `ben  10:31
    AM` may also be what somebody says.
    """
    line = line.strip()
    return _head_above(line) if len(line) < _HEAD else Beginning()


@functools.lru_cache(64)
def _head_above(line: str) -> Beginning:
    if found := _ABOVE.fullmatch(line):
        name = (found["name"] or found["after"]).rstrip(",")
        if is_name(name) and not name.endswith("：") and not _IS_DATE.fullmatch(name):
            kind = next(form for form in _FORMS if found[form])
            form = (kind, bool(_HALF.search(found[kind])), bool(_WITH_DAY.search(found[kind])))
            return Beginning(ABOVE, True, name, form=form)
    return Beginning()


def divide_stamped(line: str) -> tuple[str, str] | None:
    """The speaker and the text of a line that stands for itself: a time before the name is left
    out, and so is one between name and colon. None where it names nobody.
    """
    if message := sent_in(line):
        return message.speaker, message.text
    stamp, rest = _stamp_of(line)
    if stamp and (found := _FROM.match(rest) or _ANGLED.match(rest)):
        return found["name"], rest[found.end() :].strip()
    return (_divide(rest) if stamp else None) or _divide(line)


def _divide(line: str) -> tuple[str, str] | None:
    found = _NAMED_AT.match(line[:_HEAD])
    if found and is_name(found["speaker"]):
        return found["speaker"], line[found.end() :].strip()
    return divide(line)


def _quotes(text: str) -> bool:
    """Whether a quotation begins in it and goes on behind, as in `Ann named the group "Fun`."""
    return bool(text.count('"') % 2) or text.count("“") > text.count("”")
