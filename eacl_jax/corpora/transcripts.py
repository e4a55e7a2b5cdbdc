"""Texts -> utterances: `Ann: I got it!` a line, and what chat programs export or put on the
clipboard.

A line ends at a line feed, a carriage return or both, and nowhere else. A plain transcript has an
utterance a line. A chat export begins each message with date and time, in one style throughout:

    12/05/2024, 10:31 - Ann: I hate waiting       WhatsApp; also [12/05/2024, 10:31:22] Ann: ...
                                                  and the like
    Ann Smith  10:31 AM                           Slack, Teams and Discord: a line with name and
    Ann — Today at 10:31                          time, the message below it

so that what comes without goes on with the message before: a time alone, and what is quoted from
elsewhere in another style. A second message in the style of the first tells that it is an export;
without one, lines that begin with a time make a plain transcript of it, and so do lines that name
speakers below a title, `Interview (14:05)`. Where only the time stands before a name, `[10:31] Ann:
...`, a line that names nobody goes on with the message before, and all else is as in a plain
transcript.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError

NOBODY = "Speaker"
"""Who speaks where no name is given."""

_LINE_END = re.compile(r"\r\n|\n|\r")
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

_TIME = r"\d{1,2}[:.]\d{2}(?:[:.]\d{2})?(?:[.,]\d{1,6})?(?:Z|[+-]\d{2}:?\d{2})?(?:\s?[AaPp]\.?\s?[Mm]\b\.?)?"
_DATE = r"(?:\d{1,4}[./-]\d{1,2}[./-]\d{1,4}\.?|\d{1,2}\.?\s\w{3,9}\.?,?(?:\s\d{4})?|\w{3,9}\.?\s\d{1,2}(?:,?\s\d{4})?)"
_DAY = r"(?:(?:[Tt]oday|[Yy]esterday)(?: at|,)?|" + _DATE + r")"
# Marks of writing direction, which exports put before a message.
_MARKS = "\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"
# What a line may begin with: a time, with a date or not, in brackets or before a dash or a blank.
# Blanks are given back to nothing else (`*+`): a line of them would take the third power of their
# number.
_STAMP = re.compile(
    rf"[{_MARKS}\s]*+(?:"
    rf"(?P<bracketed>[\[(]\s*+(?P<day1>{_DAY},?[\sT]\s*+)?{_TIME}(?P<after1>,\s*+{_DAY})?\s*+[\])])(?:\s*+[-–—](?=\s))?"
    rf"|(?P<dashed>(?P<day2>{_DAY},?[\sT]\s*+)?{_TIME}(?P<after2>,\s*+{_DAY})?\s*+[-–—](?=\s))"
    rf"|(?P<plain>(?P<day3>{_DAY},?[\sT]\s*+)?{_TIME}(?=\s))"
    rf")[{_MARKS}\s]*"
)
_AT = rf"(?:{_DAY},?\s++)?{_TIME}"
_ABOVE = re.compile(
    rf"[{_MARKS}\s]*+(?:"
    rf"(?P<name>\S.*?)(?:\s*+[—–]\s*+[\[(]?{_AT}[\])]?|\s\s++[\[(]?{_AT}[\])]?|\s++[\[(]{_AT}[\])]|\s{_AT}(?<=[Mm.]))"
    rf"|[\[(]{_AT}[\])]\s*+(?P<after>[^:]*[^:\s]))\s*"
)
_NAMED_AT = re.compile(
    rf"(?P<speaker>[^\s:][^:]*?)\s*+,?\s*+[\[(]?\s*+(?:\d{{1,4}}[./-]\d{{1,2}}[./-]\d{{1,4}}\.?,?\s++)?{_TIME}\s*+[\])]?\s*+:(?=\s)"
)
_AROUND = re.compile(rf"^[{_MARKS}\s]+|[{_MARKS}\s]+$")
# "At 12:30 I left" and "a ratio of 16:9" name nobody.
_NUMBER, _DIGIT = re.compile(r"(?<!\w)\d+$"), re.compile(r"\d")
# Characters in which the beginning of a message is looked for: lines may be very long.
_HEAD = 120
# Messages of another style, none of the export's own between them, that are not quoted in one.
_MOST_QUOTED = 5
# Lines after which one message alone decides.
_MOST_UNSURE = 200


def split_lines(text: str) -> list[str]:
    """The lines of a text, without their ends. A last line that is empty is none."""
    lines = _LINE_END.split(text)
    return lines[:-1] if not lines[-1] else lines


def read_transcript(text: str, identity: str = "1", where: str = "the text") -> Dialogue:
    """The dialogue in a text, as this module's first lines tell; blank lines are passed over, lines
    without a name are by `NOBODY`.

    Raises:
      UserError: a line is not text.
    """
    lines = TranscriptLines()
    utterances: list[Utterance] = []
    for number, line in enumerate(split_lines(text.removeprefix("\ufeff")), 1):
        utterances += lines.read(line, f"{where} line {number}")
    return Dialogue(identity, (*utterances, *lines.finish()))


def read_line(line: str, where: str = "the utterance") -> Utterance:
    """The utterance in a line that stands for itself.

    Raises:
      UserError: it is not text.
    """
    return check_utterance(_plain(line), where)


class TranscriptLines:
    """Reads a transcript a line at a time, whatever its length."""

    def __init__(self) -> None:
        # Of the export's first line; "" in a plain transcript, None before anything is read.
        self._style: str | None = None
        # The message that may go on: speaker, lines, where.
        self._open: tuple[str, list[str], str] | None = None
        # Until a second message tells that this is an export: all lines so far, each with where.
        self._unsure: list[tuple[str, str]] | None = None
        self._apart = 0  # of those, lines that may be messages of their own
        self._quoted = 0  # lines since the last message that begin one in another style
        # Lines before the first that names somebody, which a chat program may have noted.
        self._notes: list[tuple[str, str]] = []

    @property
    def exported(self) -> bool:
        """The lines so far are those of a chat export, in which a blank line may be part of a
        message.
        """
        return bool(self._style) and not self._stand_apart()

    def read(self, line: str, where: str) -> Iterator[Utterance]:
        """The utterances that are whole now that this line is read; blank lines may be left out.

        Raises:
          UserError: it is not text, or an export goes on in another style.
        """
        if not line.strip():
            if self._open:
                self._open[1].append("")
            return
        begins = _begins(line)
        if self._style is None:
            noted = not begins.style and _note(line, "bracketed")
            if noted and len(self._notes) < _MOST_UNSURE:
                self._notes.append((line, where))
                return
            self._style = begins.style if begins.dated else ""
            yield from self._noted()
            self._unsure = [] if self._style else None
        if not self._style:
            yield from self._read_plain(begins, line, where)
            return
        if begins.style != self._style and (note := _note(line, self._style)):
            begins = _Beginning(self._style, True, NOBODY, note)
        own = begins.dated and begins.style == self._style
        many = len(self._unsure or ()) > _MOST_UNSURE
        if self._stand_apart() and ((own and self._style == "above") or many):
            yield from self._as_plain()
            yield from self._read_plain(begins, line, where)
            return
        if many or (own and self._unsure):
            self._unsure = None
        if self._unsure is not None:
            stamped = begins.style not in ("", "above")
            if self._unsure and (stamped or (self._style == "above" and _names(line))):
                self._apart += 1
            self._unsure.append((line, where))
        if own:
            yield from self.finish()
            self._begin(begins, where)
            return
        self._quoted += begins.dated and begins.style != "above"
        if self._quoted > _MOST_QUOTED and self._unsure is None:
            raise UserError(
                f"{where}: the chat goes on in another style than it began in, as where two exports"
                " are joined; give each a file of its own."
            )
        if self._open:
            self._open[1].append(line.strip())

    def finish(self) -> Iterator[Utterance]:
        """The last utterance, where it is not yet given; of what turns out to be no export, all."""
        yield from self._noted()
        if self._stand_apart():
            yield from self._as_plain()
        if self._open:
            speaker, lines, where = self._open
            self._open = None
            text = "\n".join(lines).strip()
            yield check_utterance(Utterance(speaker, text), where)

    def _noted(self) -> Iterator[Utterance]:
        """Lines before the first message: of an export with what the program noted, else plain."""
        notes, self._notes = self._notes, []
        for line, where in notes:
            said = _note(line, "bracketed") if self._style == "bracketed" else ""
            yield (
                check_utterance(Utterance(NOBODY, said), where) if said else read_line(line, where)
            )

    def _begin(self, begins: "_Beginning", where: str) -> None:
        self._open = (begins.speaker, [begins.text] if begins.text else [], where)
        self._quoted = 0

    def _read_plain(self, begins: "_Beginning", line: str, where: str) -> Iterator[Utterance]:
        if self._open and not _names(line):
            self._open[1].append(line.strip())
            return
        yield from self.finish()
        if begins.style and not begins.dated:
            self._begin(begins, where)
        else:
            yield read_line(line, where)

    def _stand_apart(self) -> bool:
        """Whether lines below the only message that is read so far are messages of their own: one
        begins with a time; or, below what may be a title, as `Interview (14:05)`, all of at least
        two name a speaker.
        """
        if not self._unsure:
            return False
        if self._style == "above":
            return 1 < self._apart == len(self._unsure) - 1
        return self._apart > 0

    def _as_plain(self) -> Iterator[Utterance]:
        lines, self._style, self._open, self._unsure = self._unsure or (), "", None, None
        for line, where in lines:
            yield from self._read_plain(_begins(line), line, where)


def reads_back(speaker: str) -> bool:
    """Whether `SPEAKER: text` is read as what this speaker says."""
    return _plain(f"{speaker}: text") == Utterance(speaker, "text")


def check_utterance(utterance: Utterance, where: str) -> Utterance:
    """The same utterance. Raises `UserError` where its speaker is empty, or a string cannot be
    text: it holds a null character or half of a surrogate pair.
    """
    for field in ("speaker", "text", "emotion"):
        value = getattr(utterance, field)
        if value is not None and (reason := why_no_text(value)):
            raise UserError(f"{where}: field {field!r} {reason}.")
    for field, lists in (
        ("emotions", (utterance.emotions or (),)),
        ("annotations", utterance.annotations or ()),
    ):
        for labels in lists:
            for label in labels:
                if reason := why_no_text(label):
                    raise UserError(f"{where}: a label in field {field!r} {reason}.")
    if not utterance.speaker.strip():
        raise UserError(f"{where}: field 'speaker' is empty; give a name, any name.")
    return utterance


def why_no_text(value: str) -> str:
    """Why a string cannot be text; empty where it can."""
    if "\0" in value:
        return f"holds a null character at position {value.index(chr(0))}; remove it"
    try:
        value.encode()
    except UnicodeEncodeError as error:
        return (
            f"holds half of a surrogate pair at position {error.start}, which is no character;"
            " decode the text again"
        )
    return ""


def _plain(line: str) -> Utterance:
    """A line that stands for itself: a time before the name is left out, and so is one between name
    and colon.
    """
    line = line.strip()
    stamp = _STAMP.match(line[:_HEAD])
    return (
        (_named(line[stamp.end() :]) if stamp else None) or _named(line) or Utterance(NOBODY, line)
    )


def _named(line: str) -> Utterance | None:
    found = _NAMED_AT.match(line[:_HEAD])
    if found and _is_name(found["speaker"]):
        return Utterance(found["speaker"], line[found.end() :].strip())
    speaker, colon, text = line.partition(":")
    speaker = _AROUND.sub("", speaker)
    between = _NUMBER.search(speaker) and _DIGIT.match(text)
    if colon and not between and not text.startswith("//") and _is_name(speaker):
        return Utterance(speaker, text.strip())
    return None


def _names(line: str) -> bool:
    return _plain(line).speaker != NOBODY


def _note(line: str, style: str) -> str:
    """What a chat program itself notes in an export of this style; "" where a line goes on with a
    message.
    """
    line = line.strip()
    stamp = _STAMP.match(line[:_HEAD])
    begins = stamp and (
        stamp["bracketed"] and (stamp["day1"] or stamp["after1"])
        if style == "bracketed"
        else style == "plain" and stamp["plain"] and stamp["day3"]
    )
    return line[stamp.end() :] if stamp and begins else ""


class _Beginning(NamedTuple):
    """How a line begins a message.

    Attributes:
      style: of an export; "" where it begins none.
      dated: with a date, or with a name and a time above the message, as exports do.
      speaker: who says it.
      text: what.
    """

    style: str = ""
    dated: bool = False
    speaker: str = ""
    text: str = ""


def _begins(line: str) -> _Beginning:
    line = line.strip()
    stamp = _STAMP.match(line[:_HEAD])
    if stamp:
        style = next(name for name in ("bracketed", "dashed", "plain") if stamp[name])
        dated = any(stamp[day] for day in ("day1", "after1", "day2", "after2", "day3"))
        speaker, colon, text = line[stamp.end() :].partition(":")
        speaker = _AROUND.sub("", speaker)
        # With a date before it, a sender may have any name; without, it must look like one.
        if (
            colon
            and (text[:1].isspace() or not text)
            and (_is_name(speaker) or (dated and speaker and len(speaker) < _HEAD))
            and not _quotes(speaker)
        ):
            if dated or style != "plain":
                return _Beginning(style, dated, speaker, text.strip())
        elif (
            style == "dashed" and dated
        ):  # what the program itself notes: somebody came, left, changed a number
            return _Beginning(style, dated, NOBODY, line[stamp.end() :])
    if len(line) < _HEAD and (found := _ABOVE.fullmatch(line)):
        name = (found["name"] or found["after"]).rstrip(",")
        if _is_name(name) and all(
            not word[0].islower() or word in _PARTICLES for word in name.split()
        ):
            return _Beginning("above", True, name)
    return _Beginning()


def _quotes(text: str) -> bool:
    """Whether a quotation begins in it and goes on behind, as in `Ann named the group "Fun`."""
    return bool(text.count('"') % 2) or text.count("“") > text.count("”")


def _is_name(text: str) -> bool:
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
    return len(words) < 3 or all(not word[0].islower() or word in _PARTICLES for word in words)


def _is_sign(letter: str) -> bool:
    """An emoji, or another symbol that is no punctuation of ASCII."""
    return not letter.isascii() and unicodedata.category(letter) in ("So", "Sk", "Sm", "Mn", "Cf")
